package cache

// maxSearch bounds the buckets that a search for room looks into. At the load that arrays are grown at, few come near.
const maxSearch = 256

// search is a breadth-first search for a way to free a slot, by moving entries to their other buckets (Li et al., "Algorithmic
// Improvements for Fast Concurrent Cuckoo Hashing", EuroSys 2014, section 4.3). It is kept between searches to be cleared never.
type search struct {
	steps [maxSearch]step
}

// step is a bucket that a search has reached: by moving what is in a slot of the bucket of step `from`.
type step struct {
	bucket, partition uint64
	from              int32 // -1: the search began here
	slot              int32
}

// makeRoom frees a slot in one of two full buckets. The moves are made from the far end, so that at every moment every entry
// is somewhere.
func (s *search) makeRoom(a *array, at address) (bucket uint64, slot, news int, ok bool) {
	s.steps[0] = step{bucket: a.first(at), partition: at.partition, from: -1}
	s.steps[1] = step{bucket: a.second(at), partition: otherPartition(at.partition, at.tag), from: -1}
	n := 2
	for i := 0; i < n; i++ {
		var next [bucketSlots]step
		var free [bucketSlots]uint32
		for j := range next { // all five first, so that their lines are waited for at once
			next[j] = a.other(&s.steps[i], j)
			next[j].from, next[j].slot = int32(i), int32(j)
			free[j] = a.buckets[next[j].bucket].match(0)
		}
		for j := range next {
			if free[j] != 0 {
				bucket, slot, news = s.shift(a, i, j, next[j].bucket)
				return bucket, slot, news, true
			}
			if n < maxSearch && !s.onPath(i, next[j].bucket) {
				s.steps[n] = next[j]
				n++
			}
		}
	}
	return 0, 0, 0, false
}

// onPath reports whether a bucket is on the way to a step already: each move on a way must leave the others as they were found.
func (s *search) onPath(at int, bucket uint64) bool {
	for ; at >= 0; at = int(s.steps[at].from) {
		if s.steps[at].bucket == bucket {
			return true
		}
	}
	return false
}

// shift makes the moves of a search that ended at step `at`, whose slot j can go to bucket `to`. It returns the slot that is
// free in the end, in a bucket that the search began with.
func (s *search) shift(a *array, at, j int, to uint64) (bucket uint64, slot, news int) {
	for {
		from := s.steps[at]
		news += a.move(from.bucket, j, to)
		if from.from < 0 {
			return from.bucket, j, news
		}
		to, j, at = from.bucket, int(from.slot), int(from.from)
	}
}

// other is a step to the bucket that the entry in slot j of a step's bucket is not in.
func (a *array) other(s *step, j int) step {
	b := a.buckets[s.bucket].plain()
	tag := b.tags[j]
	partition := otherPartition(s.partition, tag)
	if b.head>>j&1 == 0 {
		return step{bucket: a.place(partition, mix(tag)), partition: partition}
	}
	return step{bucket: a.place(partition, tag), partition: partition}
}

// move copies an entry to its other bucket and only then frees the slot where it was.
func (a *array) move(i uint64, j int, to uint64) (news int) {
	src, dst := &a.buckets[i], &a.buckets[to]
	tag, choice := src.tags[j].Load(), 1-src.head.Load()>>j&1
	if choice == 1 && src.movedOn(tag) {
		news = 1
	}
	dst.arrive(dst.free(), tag, Record(src.recs[j].Load()), choice)
	src.leave(j)
	return news
}
