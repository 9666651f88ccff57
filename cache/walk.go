package cache

// Counts is how many subjects have each stored status, by [Status]. Whether a record has lapsed makes no difference.
type Counts [4]int

// move takes a record out and puts another in. Either may be Removed.
func (c *Counts) move(from, to Record) {
	if from != Removed {
		c[from.Status()]--
	}
	if to != Removed {
		c[to.Status()]++
	}
}

// Counts returns how many subjects have each status. The first call reads the table, a shard at a time, each while the writer waits,
// and so does the first after a snapshot was loaded; puts keep what it found, so that later calls cost a microsecond. Beside a writer
// the shards are those of different moments.
func (t *Table) Counts() (c Counts) {
	for i := range t.arrays {
		for s, n := range t.countShard(i) {
			c[s] += n
		}
	}
	return c
}

func (t *Table) countShard(i int) Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	sh := &t.shards[i]
	if !sh.counted {
		sh.statuses, sh.counted = Counts{}, true
		t.arrays[i].Load().each(func(_ address, r Record) { sh.statuses.move(Removed, r) })
	}
	return sh.statuses
}

// Stored is the key as a table that holds it gives it back, of the 79 bits that count: keys for which it is the same are one
// subject.
func (k Key) Stored() Key { return addressOf(k).key(shardOf(k)) }

// Shard is the shard, 0 to Shards-1, that the key's subject is in.
func (k Key) Shard() int { return int(shardOf(k)) }

func (at address) key(shard uint64) Key {
	return Key{shard<<(64-shardBits) | at.partition<<(64-shardBits-partitionBits), at.tag}
}

// AppendShard appends the subjects of shard i to dst, in no order, and returns it. Their keys are as [Key.Stored] has them: good for
// a lookup, a put or a removal. What is appended was there at one moment, while the writer waited, some 10 ns a subject of one shard.
func (t *Table) AppendShard(dst []Delta, i int) []Delta {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.arrays[i].Load().each(func(at address, r Record) { dst = append(dst, Delta{at.key(uint64(i)), r}) })
	return dst
}

// each calls f for every entry of an array, which may be nil. It is the writer's.
func (a *array) each(f func(address, Record)) {
	if a == nil {
		return
	}
	for partition := range uint64(partitions) {
		for i := range a.width {
			b := a.buckets[partition*a.width+i].plain()
			for j, tag := range b.tags {
				if tag != 0 {
					f(b.home(partition, j), Record(b.recs[j]))
				}
			}
		}
	}
}
