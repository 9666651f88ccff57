// Package delta is one subject's new record, in the two forms it travels in: the text that an authority pushes and the binary
// batch that the log carries.
//
//   - text.go: [Read], NDJSON or CSV from a stream, every line checked, bad ones named
//   - batch.go: [Batch], the deltas of one push on the wire; [Beat], the origin's heartbeat
//
// Text names subjects; a batch holds their keys alone, so no id ever reaches the log or an edge's disk. A delta sets a whole
// record, or removes it: applying it twice changes nothing.
package delta
