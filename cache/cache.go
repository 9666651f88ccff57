// Package cache is the status table that an edge answers scans from: subject -> record, exact and never evicted.
//
// It is a replica, not a cache: an entry may never vanish or be wrong, because an answer read from it opens or closes a gate.
// What may be forgotten does not belong here.
//
// # Pieces
//
//   - record.go: [Record], a subject's status, reason and until in 32 bits
//   - key.go: [Seed] and [Key], how a subject's id becomes 128 bits that name nobody; [CheckSubject]
//   - table.go: [Table], one issuer's records; one writer, any number of readers that never lock
//   - digest.go: [Digest], the order-free checksum by which two tables are compared
//
// # Layout
//
// A table is 256 shards, chosen by the key's high half. A shard is one open-addressed array of slots, probed linearly:
//
//	shard -> slots { tags []uint64   0 = free, else the key's low half
//	                 recs []uint32   the record, or Removed }
//
// A reader loads the shard's slots once and probes from the slot that the key names until it meets the tag (a hit) or a free
// slot (a miss). In one array a tag is written once, before any reader can need it, and never moves: so a reader needs no
// version check. A record is overwritten in place by one atomic store; a removal stores Removed and keeps the tag. When the
// array is seven eighths full of tags, the writer builds a larger one without the removed entries and swaps the pointer; who
// still reads the old array sees the shard as it was at the swap, and the garbage collector frees it after the last reader.
//
// # Invariants
//
//   - a lookup finds every subject that was put and not removed before the lookup began
//   - a lookup returns a whole record: one that some put stored for that tag
//   - the digest and the count change with the apply that changes the content, and with nothing else
//
// # A wrong match
//
// Two subjects share an entry when their tags are equal and they meet in one probe run. The 64 bits of the tag come from a
// keyed PRF and are independent of the shard and of the slot's position only in part: the position is computed from the tag,
// so among one shard's n entries two tags collide with probability n*n/2^65, and over 256 shards with N subjects in all with
// N*N/(256*2^65): 9e-5 at 900 million, 1e-10 at a million. Nobody without the seed can aim for a collision.
package cache
