package cache

import (
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
)

// WriteTo writes a snapshot of the table, a shard at a time, while readers and the writer go on: a put waits for one shard's copy at
// most (some 10 ns a subject of it). The table must have been described. The copy of a shard is made as full as a snapshot's
// arrays are and is the only memory that it takes.
func (t *Table) WriteTo(w io.Writer) (written int64, err error) {
	return t.WriteParts(w, func() error { return nil })
}

// WriteParts is WriteTo for who must know the parts: it calls ended after each, which are the head and the place, each section, and
// the end.
func (t *Table) WriteParts(w io.Writer, ended func() error) (written int64, err error) {
	if bigEndian {
		return 0, errBigEndian
	}
	t.mu.Lock()
	s := Snapshot{Issuer: t.issuer, Seed: t.seed, Began: t.whole}
	t.mu.Unlock()
	if err := CheckIssuer([]byte(s.Issuer)); err != nil {
		return 0, fmt.Errorf("write snapshot: the table is not described: %w", err)
	}
	heads := xxhash.New()
	write := func(parts ...[]byte) error {
		for _, p := range parts {
			n, err := w.Write(p)
			written += int64(n)
			if err != nil {
				return fmt.Errorf("write snapshot: %w", err)
			}
		}
		return nil
	}
	writeHead := func(h *head) error {
		h.seal()
		_, _ = heads.Write(h[headSize-8:])
		return write(h[:])
	}
	for _, h := range []*head{s.header(), s.place()} {
		if err := writeHead(h); err != nil {
			return written, err
		}
	}
	if err := ended(); err != nil {
		return written, err
	}
	for i := range t.arrays {
		section, a := t.copySection(i, &s)
		err := writeHead(section.head())
		if err == nil && a != nil {
			err = write(a.bytes())
		}
		t.drop(a)
		if err == nil {
			err = ended()
		}
		if err != nil {
			return written, err
		}
		s.add(section)
	}
	if err := writeHead(s.end(heads.Sum64())); err != nil {
		return written, err
	}
	return written, ended()
}

// copySection copies shard i for a snapshot, which learns the last batch that has begun by then.
func (t *Table) copySection(i int, s *Snapshot) (Section, *array) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.To = t.begun.Offset
	sh := t.shards[i]
	section := Section{Shard: i, Subjects: uint64(sh.live), Digest: sh.digest, Offset: t.whole.Offset}
	if sh.live == 0 {
		return section, nil
	}
	a := t.copyOf(t.arrays[i].Load(), snapshotWidth(sh.live))
	for n := range a.buckets {
		a.buckets[n].plain().head &= choices | filter // equal content at equal places makes equal bytes
	}
	section.Width, section.Checksum = a.width, xxhash.Sum64(a.bytes())
	return section, a
}

// drop gives back the memory of an array that no reader has seen.
func (t *Table) drop(a *array) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.memory.release(a)
}
