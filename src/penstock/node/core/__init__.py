"""The core process: log, historian, rules, alarms, commands, HTTP and live socket."""
