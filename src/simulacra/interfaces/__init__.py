"""Where people meet the toolkit; only here is anything printed."""
