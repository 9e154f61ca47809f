// How OpenBao is built: its own module cannot be installed by name and version,
// since it has `replace` lines. So it is a tool of this one.
module local/bao

go 1.26

tool github.com/openbao/openbao

// The login helpers below ask for a newer api/v2, which lacks a field that the
// commands of this version use.
replace github.com/openbao/openbao/api/v2 => github.com/openbao/openbao/api/v2 v2.4.0

require (
	// The commit of the release 2.4.0: without /v2 in its path it has no such version.
	github.com/openbao/openbao v0.0.0-20250828202315-f9407a27fbee
	// Not every version of these can be downloaded; this one can.
	github.com/openbao/openbao/api/auth/approle/v2 v2.6.0
	github.com/openbao/openbao/api/auth/kubernetes/v2 v2.6.0
	github.com/openbao/openbao/api/auth/userpass/v2 v2.6.0
	github.com/openbao/openbao/api/v2 v2.4.0
	github.com/openbao/openbao/sdk/v2 v2.4.0
)
