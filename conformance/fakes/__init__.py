"""The peers around a proxy: they do what a case says, and record what they saw. None shares code with refproxy."""
