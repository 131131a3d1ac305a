"""Networks: the default bridge, published ports, names of hosts, and how containers join and leave."""
