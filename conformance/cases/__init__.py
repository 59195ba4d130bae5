"""The cases, one module per topic; importing `conformance.cases.all` registers every one."""
