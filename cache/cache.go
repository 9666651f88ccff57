// Package cache is the status table that an edge answers scans from: subject -> record, exact and never evicted.
//
// It is a replica, not a cache: an entry may never vanish or be wrong, because an answer read from it opens or closes a gate.
// What may be forgotten lies in cache/memo.
//
// # Pieces
//
//   - record.go: [Record], a subject's status, reason and until in 32 bits
//   - key.go: [Seed] and [Key], how a subject's id becomes 128 bits that name nobody; [CheckSubject]
//   - table.go: [Table], one issuer's records; one writer at a time, any number of readers that never lock
//   - bucket.go, array.go: a cache line, and a shard's array of them: the readers' half
//   - search.go, resize.go: how room is made, and how arrays grow, shrink and are mended: the writer's half
//   - memory_linux.go, memory_other.go: where arrays lie, and when their memory goes
//   - digest.go, scrub.go: [Digest], the order-free checksum by which two tables are compared, and a table's memory with it
//   - walk.go: [Table.AppendShard], a shard's subjects by the keys that place and tag give back; [Counts], how many have each status
//   - stats.go: how a table lies in memory, for benchmarks and for who looks at a file
//
// # Layout
//
// A table is 128 shards. A shard is an array of buckets, cut into 256 partitions of equal width; a bucket is one cache line:
//
//	table -> shards -> array { partitions -> buckets }
//	bucket { head uint32         5 choice bits, 8 filter bits, 19 bits of version
//	         recs [5]uint32      the records
//	         tags [5]uint64 }    0 = free, else the key's low half
//
// The key's high half names the shard (7 bits) and the partition (8 bits). An entry lies in its first bucket, where the tag's
// high bits say within that partition, or, when that is full, in its second: the partition's number XOR a hash of the tag, and
// where another part of that hash says. The choice bit of its slot says in which, so that tag and place together always give
// back shard and partition, wherever the entry was moved and however wide its array is by then (the partial-key cuckoo hashing
// of Fan et al., "Cuckoo Filter", CoNEXT 2014). A set bit in the filter of a bucket says that an entry whose tag's low three bits
// name this bit may have moved on to its second; else a lookup ends after one line (Le Scouarnec, "Cuckoo++ Hash Tables",
// ANCS 2018).
//
// To insert into two full buckets, the writer searches, breadth first, for entries that can move to their other buckets. A
// shard whose array is 92 % full gets one that is a quarter larger. Shards have sizes of their own and so grow at different
// times: from some millions on a table costs 15.4 to 16 bytes a subject at every moment of its growth, and 13.8 when it was
// loaded from a snapshot, which holds arrays that are 93 % full.
//
// # Why no lookup is torn or missed
//
// A writer moves an entry by storing it in its other bucket and only then clearing it in the one where it was. A bucket's version
// changes after an entry came by a move, and after one left (moved or removed); no slot is used anew before that. A filter bit is
// set before the first entry that needs it moves on, and stays as long as the array.
//
// A hit reads head, tag, record, head. If the slot changed hands before the record was read, its entry had left after the tag
// was read, so the head is another one: look again. (Head comparisons could be fooled by 2^19 changes of one bucket between two
// loads of one lookup that also leave the tag where it was.)
//
// A miss reads the first bucket, the second one if the filter says so, and the first one's head again. Let an entry be there
// throughout and that head be unchanged. If the entry was in the first bucket when the head was first read, then it was cleared
// there before its slot was read and its version not yet changed: so it was in the second, with the filter bit set, from before
// the slot was read until after the head was read again, and the look into the second has found it. If it was in the second, then
// it has left there before its slot was read, so it had come to the first, and changed the head, before that. Either way the
// miss contradicts itself.
//
// An array is replaced by a copy behind one atomic pointer. Its memory is given to the next array that needs such a slot, so
// whatever was read in it counts only if the pointer is still the same afterwards.
//
// # Invariants
//
//   - a lookup finds every subject that was put before it began and not removed before it ended
//   - a lookup returns a whole record: one that some put stored for that subject
//   - an entry is in its first or its second bucket, in both only during a move, and its first bucket's filter says so if it is
//     in the second
//   - a walk gives every entry once, by a key that counts as the one that was put
//   - the digest and the count change with the apply that changes the content, and with nothing else
//   - entries move within their shard only, and under the table's lock: who holds it sees a shard whole
//
// # A wrong match
//
// Two subjects share an entry when the 79 bits that count are equal: 7 of the shard, 8 of the partition, 64 of the tag. They come
// from a keyed PRF, so among N subjects some two do with a probability of at most N*(N-1)/2^80: 6.7e-7 at 900 million, 8.3e-13
// at a million. A lookup of a subject that is not there meets another's entry with N/2^79: 1.5e-15. What the table stores gives
// all 79 bits back, so growth loses none. (The one tag in 2^64 that would mean a free slot counts as its neighbour.)
package cache
