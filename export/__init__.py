"""From torch to the graphs and the bundle that the runtime opens."""
