// Package issuer is who an authority is to the fleet: its id, its secrets, and the signature that makes a record its own.
//
//   - secret.go: [Secret], what the origin keeps: the seed that hides subjects and the key that signs; [Public], what edges get
//   - policy.go: [Policy], what an issuer has settled and may change
//   - codekey.go: [CodeKey], what its codes are made with, and how it is replaced
//   - given.go: [Given], secrets that lie in files of the operator's own
//   - record.go: the envelope around all that an issuer's log carries: kind, epoch, place in the chain, time, signature
//   - frames.go: files of records
//   - manifest.go: [Snapshot], what an issuer signs of a table's file, so that anybody may serve it
//
// The transport is not trusted. A record says at which offset it stands and the hash of the chained record before it, and carries the
// issuer's Ed25519 signature, so that whoever can write to the log or sits between it and an edge can withhold records but
// neither forge nor drop nor reorder them unseen.
package issuer
