"""Unit costs: what a request, a version, an entry and a large model take, to reckon a deployment with."""
