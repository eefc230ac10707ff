"""One module a target: the fields of a launch plan that it uses, and the files it renders from an `Intent`."""
