"""Go templates: grammar, values, functions."""

from __future__ import annotations

import pytest

from sampan.templates.template import Row, Template, TemplateError
from sampan.wire.containers import ContainerConfig, ContainerInspect, ContainerState

DATA = {
    "Name": "/x",
    "State": {"Running": True, "ExitCode": 3, "Health": None},
    "Labels": {"b": "2", "a": "1"},
    "Env": ["A=1", "B=2"],
    "Ports": {"80/tcp": [{"HostPort": "8080"}]},
    "Ratio": 1.5,
    "Big": 10.0,
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain", "plain"),
        ("{{.Name}}", "/x"),
        ("{{ .State.ExitCode }}|{{.state.running}}", "3|true"),
        ("{{.}}", None),
        ("{{.Labels}} {{.Env}} {{.Ratio}} {{.Big}}", "map[a:1 b:2] [A=1 B=2] 1.5 10"),
        ("{{json .Labels}} {{json .Env}} {{json .Name}}", '{"b":"2","a":"1"} ["A=1","B=2"] "/x"'),
        ("{{range .Env}}<{{.}}>{{end}}", "<A=1><B=2>"),
        ("{{range $i, $e := .Env}}{{$i}}={{$e}};{{end}}", "0=A=1;1=B=2;"),
        ("{{range $k, $v := .Labels}}{{$k}}{{$v}}{{end}}", "a1b2"),
        ("{{range .Missing2}}x{{else}}none{{end}}", TemplateError),
        ("{{range .State.Health}}x{{else}}none{{end}}", "none"),
        ('{{range $e := .Env}}{{if eq $e "A=1"}}{{continue}}{{end}}{{$e}}{{break}}{{end}}', "B=2"),
        ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
        ("{{if not .State.Running}}a{{else if eq .State.ExitCode 3}}b{{else}}c{{end}}", "b"),
        ("{{with .Name}}{{.}}{{$.Ratio}}{{end}}{{with .State.Health}}x{{else}}y{{end}}", "/x1.5y"),
        ('{{$n := .Name}}{{$n = "z"}}{{$n}}', "z"),
        ('{{(index .Ports "80/tcp" 0).HostPort}}', "8080"),
        ('{{index .Env 1}} {{index .Labels "a"}} [{{index .Labels "zz"}}]', "B=2 1 []"),
        ("{{.Labels.nosuch}}", "<no value>"),
        ("{{.Nosuch}}", TemplateError),
        ("{{.State.Health.Status}}", TemplateError),
        ("{{.State.Health}}", "<nil>"),
        ('a {{- " b " -}} c', "a b c"),
        ("{{/* nothing */}}x{{- /* more */ -}} y", "xy"),
        ('{{`raw`}} {{"q\\"\\n\\u00fc"}} {{\'a\'}}', 'raw q"\nü 97'),
        ('{{.Name | printf "%s-%s" "p" | upper}}', "P-/X"),
        (
            '{{printf "%5d|%-5s|%05d|%q|%.1f|%v|%t|%x|%%" 3 "a" 42 "q" 2.25 .Env true 255}}',
            '    3|a    |00042|"q"|2.2|[A=1 B=2]|true|ff|%',
        ),
        ('{{print 1 2 "x" 3}} {{println "y"}}', "1 2x3 y\n"),
        ("{{len .Env}} {{len .Name}} {{slice .Name 1}} {{slice .Env 0 1}}", "2 2 x [A=1]"),
        ("{{eq 1 2 1}} {{ne 1 2}} {{lt 1 2}} {{le 2 2}} {{gt 1 2}} {{ge 1 2}}", "true true true true false false"),
        ('{{and 1 0 2}} {{or 0 "" 3}} {{not ""}}', "0 3 true"),
        (
            '{{join .Env ","}} {{split "a,b" ","}} {{title "ab cd"}} {{lower "AB"}} {{truncate "abcd" 2}}',
            "A=1,B=2 [a b] Ab Cd ab ab",
        ),
        ('[{{pad "x" 1 2}}{{pad "" 1 2}}]', "[ x  ]"),
        ('{{if and (eq .Name "/x") (gt (len .Env) 1)}}yes{{end}}', "yes"),
        ("{{true}} {{nil}}", "true <no value>"),
        ("{{$}}", None),
    ],
)
def test_templates(template, text):
    if text is TemplateError:
        with pytest.raises(TemplateError):
            Template(template).render(DATA)
    elif text is None:
        assert Template(template).render(DATA).startswith("map[")
    else:
        assert Template(template).render(DATA) == text


@pytest.mark.parametrize(
    "template",
    [
        "{{",
        "{{.Name",
        "{{}}",
        "{{if .Name}}",
        "{{end}}",
        "{{else}}",
        "{{range .Env}}{{else}}",
        "{{.Name | }}",
        "{{(.Name}}",
        "{{.Name)}}",
        "{{nosuch .Name}}",
        "{{$x}}",
        '{{"unclosed}}',
        "{{.Name ^ 2}}",
        "{{lt .Name 1}}",
        "{{index .Env 9}}",
        "{{len .Ratio}}",
        "{{.Name.More}}",
        "{{.Name 1}}",
        '{{template "x"}}',
    ],
)
def test_what_is_refused(template):
    with pytest.raises(TemplateError):
        Template(template).render(DATA)


def test_typed_documents_know_fields_that_were_left_out():
    document = ContainerInspect(id="abc", config=ContainerConfig(labels={"a": "b"}), state=ContainerState(status="x"))
    template = Template("{{.ID}} {{.Id}} {{.State.Health}} {{.Config.StopSignal}}|{{.State.OOMKilled}}")
    assert template.render(document) == "abc abc <nil> |false"
    template = Template("{{.Config.Env}} {{json .Config.Env}} {{.Config.Volumes}} {{.Config.Labels.nosuch}}")
    assert template.render(document) == "[] null map[] <no value>"


def test_a_struct_prints_its_fields_in_order():
    assert (
        Template("{{.}}").render(ContainerState(status="up", pid=5))
        == "{up false false false false false 5 0    <nil>}"
    )


def test_rows_have_fields_and_methods():
    row = Row("*formatter.X", {"Name": "<a>", "Label": lambda key: f"label {key}"})
    assert Template('{{.Name}} {{.Label "k"}}').render(row) == "<a> label k"
    assert Template("{{json .}}").render(row) == '{"Name":"\\u003ca\\u003e"}'
    with pytest.raises(TemplateError, match=r"can't evaluate field Foo in type \*formatter\.X"):
        Template("{{.Foo}}").render(row)
