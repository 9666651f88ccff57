// Package snapshot keeps, serves and fetches an issuer's snapshots: tables' files that the issuer signed, so that anybody may
// serve them.
//
//   - store.go: [Store], a folder of them; [File], one of them
//   - write.go: from a table to a file
//   - load.go: from a file to a table
//   - own.go: the table that an edge keeps for its own next start
//   - fetch.go: [Store.Fetch], one download from many sources, none of them trusted
//   - part.go: the file on its way in: checked part by part while it is written
//   - serve.go: [Server], the other end of it
//
// # Files
//
//	OFFSET-ID.manifest   the record that the issuer signed: place, size and SHA-256 of each part (sync/issuer)
//	OFFSET-ID.state      what the origin keeps beside the table; absent at edges
//	OFFSET-ID.table      the table's file (cache), the last to get its name
//	own.table            the same, unsigned
//	ID.part              a table's file on its way in
//
// # Invariants
//
// A table that has its name is whole: it and all that belongs to it was fsynced before. What a crash left half is removed when
// the folder is opened, but for a download, which goes on: it is believed part by part, by its SHA-256, and never before.
// Neither a snapshot in full nor a part of it is ever in memory.
package snapshot
