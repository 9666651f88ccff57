package cache

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"unsafe"

	"github.com/cespare/xxhash/v2"
)

// A snapshot is a table's file. All numbers are little-endian; a head has 64 bytes, the last 8 of them the xxhash64 of the others;
// what is not named is zero.
//
//	header   magic "SEtable\n", version u32, bits of a shard's, a partition's number, slots and filter bits of a bucket (u8 each),
//	         issuer (16 bytes, padded with zeros), seed id (8 bytes)
//	place    magic "SEplace\n", the table's position when the snapshot was begun: offset u64, hash (32 bytes)
//	section  magic "SEshard\n", shard u32, width u32, subjects u64, digest u64, offset u64, xxhash64 of the buckets,
//	         then its buckets, width * 256 * 64 bytes, as they lie in memory. 128 of them, shard 0 first
//	end      magic "SEwhole\n", subjects u64, digest u64, to u64, xxhash64 over the checksums of all heads before it
//
// Each shard is copied at a moment of its own, while the writer goes on with others. What makes it exact is to apply the log's
// batches after the place where it was begun, up to `to`, the last batch that had begun when the last section was copied: since a
// delta sets a whole record, a section that has some of them already comes to the same end, and a key's shard never changes. The
// place lies in the file itself, with its hash, so that the table and where to go on from can't deviate. Count and digest, which are those of the sections as they stand, are only known at the end: so they stand there, and a
// snapshot can be written to a stream.
const (
	snapshotVersion = 1
	headSize        = 64

	headerMagic  = "SEtable\n"
	placeMagic   = "SEplace\n"
	sectionMagic = "SEshard\n"
	endMagic     = "SEwhole\n"

	maxWidth = 1 << 16 // of an array: 1 GiB
)

var layout = [4]byte{shardBits, partitionBits, bucketSlots, filterBits}

// Snapshot is what a snapshot says of itself.
type Snapshot struct {
	Issuer   string
	Seed     SeedID
	Began    Position // where the table was when the snapshot was begun: the batches after it,
	To       uint64   // up to this one, make the table exact
	Subjects uint64
	Digest   Digest
	Sections []Section // one a shard
}

// Section is a shard's part of a snapshot.
type Section struct {
	Shard    int
	Width    uint64 // buckets a partition; 0: an empty shard
	Subjects uint64
	Digest   Digest
	Offset   uint64 // the last batch that was applied as a whole when the shard was copied
	Checksum uint64 // xxhash64 of the buckets
}

// Slots is how many subjects the section's buckets have room for.
func (s Section) Slots() uint64 { return s.Width * partitions * bucketSlots }

// Bytes is the size of the section's buckets.
func (s Section) Bytes() int64 { return int64(s.Width * partitions * bucketSize) }

// Describe says whose table it is, for the snapshots that are written of it. A table that is read from a snapshot must agree.
func (t *Table) Describe(issuer string, seed SeedID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.issuer, t.seed = issuer, seed
}

// Position is a place in an issuer's chain of records: the last one up to there. The zero Position is the chain's start.
type Position struct {
	Offset uint64
	Hash   [32]byte // SHA-256
}

// String reads like "offset 17 (3f2a90c1)".
func (p Position) String() string { return fmt.Sprintf("offset %d (%x)", p.Offset, p.Hash[:4]) }

// Begin says that what is put from now on is the batch at p, and End that it was put whole.
func (t *Table) Begin(p Position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begun = p
}

// End says that the batch that was begun last was put whole.
func (t *Table) End() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.whole = t.begun
}

// Position returns the last batch that was put whole: after ReadFrom, where the log must be read on from.
func (t *Table) Position() Position {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.whole
}

// Exact reports whether the table is what its position says. One that was read from a snapshot is not until the batches have been
// put that were under way while it was written: until then it may be neither compared nor believed.
func (t *Table) Exact() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.whole.Offset >= t.exact
}

// Digests returns the digests of the shards, whose sum is the table's.
func (t *Table) Digests() (digests [Shards]Digest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, s := range t.shards {
		digests[i] = s.digest
	}
	return digests
}

// head is a header, a section's head or an end, as it is written.
type head [headSize]byte

func newHead(magic string, numbers ...uint64) *head {
	var h head
	copy(h[:], magic)
	for i, n := range numbers {
		binary.LittleEndian.PutUint64(h[8+8*i:], n)
	}
	return &h
}

func (h *head) number(i int) uint64 { return binary.LittleEndian.Uint64(h[8+8*i:]) }

func (h *head) checksum() uint64 { return binary.LittleEndian.Uint64(h[headSize-8:]) }

func (h *head) seal() {
	binary.LittleEndian.PutUint64(h[headSize-8:], xxhash.Sum64(h[:headSize-8]))
}

// check reports why h is not a head of this kind.
func (h *head) check(magic string) error {
	if string(h[:8]) != magic {
		return fmt.Errorf("it begins with %q, not %q", h[:8], magic)
	}
	if want, got := h.checksum(), xxhash.Sum64(h[:headSize-8]); want != got {
		return mismatch("checksum", want, got)
	}
	return nil
}

func mismatch(what string, want, got uint64) error {
	return fmt.Errorf("%s mismatch (want %016x, got %016x)", what, want, got)
}

// header is the snapshot's head. It is laid out in numbers as: version and layout, issuer (two), seed.
func (s *Snapshot) header() *head {
	h := newHead(headerMagic, snapshotVersion)
	copy(h[12:16], layout[:])
	copy(h[16:32], s.Issuer)
	copy(h[32:40], s.Seed[:])
	return h
}

func (s *Snapshot) parseHeader(h *head) error {
	if err := h.check(headerMagic); err != nil {
		return err
	}
	if v := binary.LittleEndian.Uint32(h[8:]); v != snapshotVersion {
		return fmt.Errorf("version %d, but this program reads %d", v, snapshotVersion)
	}
	if [4]byte(h[12:16]) != layout {
		return fmt.Errorf("layout %v, but this program's tables have %v", h[12:16], layout)
	}
	issuer := bytes.TrimRight(h[16:32], "\x00")
	if err := CheckIssuer(issuer); err != nil {
		return err
	}
	s.Issuer, s.Seed = string(issuer), SeedID(h[32:40])
	return same(h, s.header())
}

func (s *Snapshot) place() *head {
	h := newHead(placeMagic, s.Began.Offset)
	copy(h[16:48], s.Began.Hash[:])
	return h
}

func (s *Snapshot) parsePlace(h *head) error {
	if err := h.check(placeMagic); err != nil {
		return err
	}
	s.Began = Position{h.number(0), [32]byte(h[16:48])}
	return same(h, s.place())
}

// same reports whether a head says nothing beyond what was understood of it.
func same(h, understood *head) error {
	understood.seal()
	if *h != *understood {
		return errors.New("bytes that must be zero are not")
	}
	return nil
}

func (s *Section) head() *head {
	return newHead(sectionMagic, uint64(s.Shard)|s.Width<<32, s.Subjects, uint64(s.Digest), s.Offset, s.Checksum)
}

func (s *Section) parse(h *head, shard int) error {
	if err := h.check(sectionMagic); err != nil {
		return err
	}
	n := h.number(0)
	*s = Section{int(n & (1<<32 - 1)), n >> 32, h.number(1), Digest(h.number(2)), h.number(3), h.number(4)}
	switch {
	case s.Shard != shard:
		return fmt.Errorf("it is of shard %d", s.Shard)
	case s.Width > maxWidth:
		return fmt.Errorf("width %d; at most %d", s.Width, maxWidth)
	case s.Subjects > s.Slots():
		return fmt.Errorf("%d subjects in %d slots", s.Subjects, s.Slots())
	}
	return same(h, s.head())
}

func (s *Snapshot) end(heads uint64) *head {
	return newHead(endMagic, s.Subjects, uint64(s.Digest), s.To, heads)
}

// add takes a section into the sums.
func (s *Snapshot) add(section Section) {
	s.Sections = append(s.Sections, section)
	s.Subjects += section.Subjects
	s.Digest += section.Digest
}

// parseEnd compares the end with what was read before it.
func (s *Snapshot) parseEnd(h *head, heads uint64) error {
	if err := h.check(endMagic); err != nil {
		return err
	}
	s.To = h.number(2)
	want := s.end(heads)
	for i, what := range []string{"count", "digest", "", "heads' checksum"} {
		if want.number(i) != h.number(i) {
			return mismatch(what, h.number(i), want.number(i))
		}
	}
	return same(h, want)
}

// bytes are the buckets' memory, in the byte order of the machine.
func (a *array) bytes() []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(a.buckets))), len(a.buckets)*bucketSize)
}

// errBigEndian is for machines whose memory can't be the file's.
var errBigEndian = errors.New("snapshots need a little-endian machine")

var bigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1

// left is how many bytes a reader has left, or a negative number if it can't say.
func left(r io.Reader) int64 {
	switch r := r.(type) {
	case interface{ Len() int }:
		return int64(r.Len())
	case *os.File:
		info, err := r.Stat()
		at, errAt := r.Seek(0, io.SeekCurrent)
		if err == nil && errAt == nil && info.Mode().IsRegular() {
			return info.Size() - at
		}
	}
	return -1
}
