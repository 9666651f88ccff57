package cache

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/cespare/xxhash/v2"
)

// ReadFrom fills an empty table from a snapshot. Everything is checked before any of it can be looked up: each checksum, that each
// entry lies where a lookup will find it, counts and digests. An error names the place, and leaves the table empty. If the table was
// described before, the snapshot must be of the same issuer and seed; else it is described by it.
func (t *Table) ReadFrom(r io.Reader) (n int64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.live > 0 {
		return 0, fmt.Errorf("read snapshot: the table has %d subjects already", t.live)
	}
	var arrays [Shards]*array
	var shards [Shards]shard
	// Two sections a processor, for they are taken in their order and not as they get ready.
	s, n, err := readSnapshot(r, &t.memory, 2*runtime.GOMAXPROCS(0), t.accept, func(section Section, a *array) {
		arrays[section.Shard] = a
		shards[section.Shard] = shardOfSection(section)
	})
	if err != nil {
		for _, a := range arrays {
			t.memory.release(a)
		}
		return n, err
	}
	for i, a := range arrays {
		t.memory.release(t.arrays[i].Swap(a))
	}
	t.shards = shards
	t.become(s)
	return n, nil
}

// Replace is ReadFrom for a table that is in use and of which there is no room for two: each section takes the place of what the
// shard held as soon as it was checked. Meanwhile a lookup finds the old in one shard and the new in another; after an error, too,
// and then the table must not be believed until a snapshot was read whole.
func (t *Table) Replace(r io.Reader) (n int64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, n, err := readSnapshot(r, &t.memory, few, t.accept, func(section Section, a *array) {
		i := section.Shard
		t.memory.release(t.arrays[i].Swap(a))
		t.live += int(section.Subjects) - t.shards[i].live
		t.sum += section.Digest - t.shards[i].digest
		t.shards[i] = shardOfSection(section)
		t.publish()
	})
	if err != nil {
		return n, err
	}
	t.become(s)
	return n, nil
}

// accept reports why a snapshot is not one of this table.
func (t *Table) accept(s Snapshot) error {
	if t.issuer != "" && (s.Issuer != t.issuer || s.Seed != t.seed) {
		return fmt.Errorf("it is of issuer %s with seed %v, not of %s with seed %v", s.Issuer, s.Seed, t.issuer, t.seed)
	}
	return nil
}

func shardOfSection(s Section) shard { return shard{live: int(s.Subjects), digest: s.Digest} }

// become takes over what a snapshot says of the table as a whole.
func (t *Table) become(s Snapshot) {
	t.live, t.sum = int(s.Subjects), s.Digest
	t.issuer, t.seed, t.begun, t.whole, t.exact = s.Issuer, s.Seed, s.Began, s.Began, s.To
	t.publish()
}

func anyTable(Snapshot) error { return nil }

// few is how many sections are in hand at once where the memory of each counts.
const few = 2

// VerifySnapshot reads a snapshot and checks all that ReadFrom would, in the memory of two shards.
func VerifySnapshot(r io.Reader) (Snapshot, error) {
	var m memory
	s, _, err := readSnapshot(r, &m, few, anyTable, func(_ Section, a *array) { m.release(a) })
	return s, err
}

// InspectSnapshot reads a snapshot's heads and checks them, but not the buckets between them.
func InspectSnapshot(r io.Reader) (Snapshot, error) {
	s, _, err := readSnapshot(r, nil, 1, anyTable, nil)
	return s, err
}

// readSnapshot asks accept about a snapshot's head, then reads its sections into arrays from m, checks them, and gives each, nil
// for an empty one, to take, in their order. Without m, it skips them. Of a file, it has up to atOnce sections in hand.
func readSnapshot(r io.Reader, m *memory, atOnce int, accept func(Snapshot) error, take func(Section, *array)) (s Snapshot, n int64,
	err error) {
	if bigEndian {
		return s, 0, errBigEndian
	}
	in := snapshotReader{r: r, left: left(r), heads: xxhash.New(), m: m, ahead: 1, take: take}
	if f, ok := r.(*os.File); ok && in.left >= 0 {
		in.file, in.ahead = f, atOnce-1
	}
	defer func() {
		in.abandon()
		n = in.n
		if err != nil {
			err = fmt.Errorf("read snapshot: %w", err)
		}
	}()
	for _, parse := range []func(*head) error{s.parseHeader, s.parsePlace} {
		if err := in.head(parse); err != nil {
			return s, 0, fmt.Errorf("header: %w", err)
		}
	}
	if err := accept(s); err != nil {
		return s, 0, fmt.Errorf("header: %w", err)
	}
	for i := range Shards {
		var section Section
		if err := in.head(func(h *head) error { return section.parse(h, i) }); err != nil {
			return s, 0, inSection(i, err)
		}
		if err := in.settle(in.ahead); err != nil {
			return s, 0, err
		}
		a, from, err := in.buckets(section)
		if err != nil {
			return s, 0, inSection(i, err)
		}
		in.check(section, a, from)
		s.add(section)
	}
	if err := in.settle(0); err != nil {
		return s, 0, err
	}
	heads := in.heads.Sum64()
	err = in.head(func(h *head) error { return s.parseEnd(h, heads) })
	if err == nil {
		err = in.eof()
	}
	if err != nil {
		return s, 0, fmt.Errorf("end: %w", err)
	}
	return s, 0, nil
}

// snapshotReader reads a snapshot's parts. From a stream, a section is checked while the next one is read: reading is mostly the
// kernel's work, and with two processors a load takes little more than half the time. In a file, the heads say where the sections
// are, so each processor reads and checks one of its own: what takes longest may be that the system makes the memory.
type snapshotReader struct {
	r     io.Reader
	file  *os.File // r, if it is a regular file
	n     int64    // bytes read or passed over
	left  int64    // bytes at the beginning, negative if nobody knows
	heads *xxhash.Digest

	m        *memory // nil: buckets are skipped, and nothing is checked or taken
	take     func(Section, *array)
	ahead    int         // sections that may be under way while the next one's memory is taken
	checking []*checking // in their order
}

// checking is a section whose check is under way.
type checking struct {
	Section
	a    *array
	done chan error // of one place
}

// check begins to check a section's array, nil for an empty section. In a file, its buckets lie behind from and are read first.
func (in *snapshotReader) check(section Section, a *array, from int64) {
	if in.m == nil {
		return
	}
	c := &checking{section, a, make(chan error, 1)}
	in.checking = append(in.checking, c)
	go func() {
		if err := in.fill(a, from); err != nil {
			c.done <- err
			return
		}
		c.done <- section.check(a)
	}()
}

// fill reads an array's buckets from a file, without moving the place where that is read.
func (in *snapshotReader) fill(a *array, from int64) error {
	if a == nil || in.file == nil {
		return nil
	}
	a.populate()
	b := a.bytes()
	n, err := in.file.ReadAt(b, from)
	return short(int64(n), int64(len(b)), err)
}

// settle awaits checks, the oldest first, until no more than some are under way, and has their sections taken.
func (in *snapshotReader) settle(some int) error {
	for len(in.checking) > some {
		c := in.checking[0]
		in.checking = in.checking[1:]
		if err := <-c.done; err != nil {
			in.release(c.a)
			return inSection(c.Shard, err)
		}
		if c.a != nil {
			c.a.limit = loadedLimit(c.Shard, c.a)
		}
		in.take(c.Section, c.a)
	}
	return nil
}

// abandon ends the checks that nobody waits for any more.
func (in *snapshotReader) abandon() {
	for _, c := range in.checking {
		<-c.done
		in.release(c.a)
	}
}

func (in *snapshotReader) release(a *array) {
	if in.m != nil {
		in.m.release(a)
	}
}

func (in *snapshotReader) head(parse func(*head) error) error {
	var h head
	if err := in.full(h[:]); err != nil {
		return err
	}
	_, _ = in.heads.Write(h[headSize-8:])
	return parse(&h)
}

// full reads all of p.
func (in *snapshotReader) full(p []byte) error {
	n, err := io.ReadFull(in.r, p)
	in.n += int64(n)
	return short(int64(n), int64(len(p)), err)
}

func short(n, want int64, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("cut short: %d of %d bytes", n, want)
	}
	return err
}

// buckets reads or skips a section's buckets. Those in a file are read later, from where it says.
func (in *snapshotReader) buckets(section Section) (a *array, from int64, err error) {
	size := section.Bytes()
	if rest := in.left - in.n; in.left >= 0 && size > rest {
		return nil, 0, fmt.Errorf("cut short: %d of %d bytes", rest, size) // before memory is taken for what a head merely claims
	}
	if size == 0 {
		return nil, 0, section.compare(shard{})
	}
	if in.m == nil || in.file != nil {
		if from, err = in.skip(size); err == nil && in.m != nil {
			a = in.m.allot(section.Width)
		}
		return a, from, err
	}
	a = in.m.newArray(section.Width)
	if err := in.full(a.bytes()); err != nil {
		in.m.release(a)
		return nil, 0, err
	}
	return a, 0, nil
}

// skip passes over bytes, and returns where in a file they begin.
func (in *snapshotReader) skip(size int64) (from int64, err error) {
	if in.file != nil {
		end, err := in.file.Seek(size, io.SeekCurrent)
		in.n += size
		return end - size, err
	}
	n, err := io.CopyN(io.Discard, in.r, size)
	in.n += n
	return 0, short(n, size, err)
}

// eof reports what comes after the end.
func (in *snapshotReader) eof() error {
	var b [1]byte
	switch n, err := io.ReadFull(in.r, b[:]); {
	case n > 0:
		return errors.New("more bytes follow")
	case err != io.EOF:
		return err
	}
	return nil
}

// inSection says which section an error is of.
func inSection(i int, err error) error { return fmt.Errorf("section %d: %w", i, err) }

// check compares a section's array with its head.
func (s Section) check(a *array) error {
	if a == nil {
		return s.compare(shard{})
	}
	if sum := xxhash.Sum64(a.bytes()); sum != s.Checksum {
		return mismatch("checksum", s.Checksum, sum)
	}
	return s.checkEntries(a)
}

func (s Section) checkEntries(a *array) error {
	found, err := a.sum(uint64(s.Shard))
	if err != nil {
		return err
	}
	return s.compare(found)
}

func (s Section) compare(found shard) error {
	if uint64(found.live) != s.Subjects {
		return fmt.Errorf("it holds %d subjects, not %d", found.live, s.Subjects)
	}
	if found.digest != s.Digest {
		return mismatch("digest", uint64(s.Digest), uint64(found.digest))
	}
	return nil
}
