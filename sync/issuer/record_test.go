package issuer

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/scanedge/scanedge/cache"
)

var testKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

func testHead() Head {
	return Head{
		Kind: Batch, Issuer: "demo-a", Epoch: 3, Offset: 12, Prev: cache.Position{Offset: 9, Hash: Hash{1, 2, 3}},
		Time: time.UnixMilli(1_790_000_000_123).UTC(),
	}
}

func seal(h Head, body string) ([]byte, Hash) {
	return Sign(append(AppendHead(nil, h), body...), testKey)
}

func TestRecordComesBack(t *testing.T) {
	for _, body := range []string{"", "x", "a body of some length"} {
		record, hash := seal(testHead(), body)
		if len(record) != RecordSize(testHead(), len(body)) {
			t.Errorf("%d bytes, RecordSize says %d", len(record), RecordSize(testHead(), len(body)))
		}
		head, got, h, err := Open(record)
		if err != nil || head != testHead() || string(got) != body || h != hash {
			t.Fatalf("%+v %q %v", head, got, err)
		}
		if err := Verify(record, h, testKey.Public().(ed25519.PublicKey)); err != nil {
			t.Error(err)
		}
	}
}

// Every single flipped bit and every truncation is refused, by the form or by the signature.
func TestRecordDamageIsFound(t *testing.T) {
	record, _ := seal(testHead(), "body")
	pub := testKey.Public().(ed25519.PublicKey)
	refused := func(b []byte) bool {
		_, _, hash, err := Open(b)
		return err != nil || Verify(b, hash, pub) != nil
	}
	for i := range len(record) * 8 {
		b := bytes.Clone(record)
		b[i/8] ^= 1 << (i % 8)
		if !refused(b) {
			t.Errorf("bit %d of byte %d may flip", i%8, i/8)
		}
	}
	for n := range record {
		if !refused(record[:n]) {
			t.Errorf("the first %d bytes pass", n)
		}
	}
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, ed25519.SeedSize))
	forged, hash := Sign(AppendHead(nil, testHead()), other)
	if err := Verify(forged, hash, pub); !errors.Is(err, ErrSignature) {
		t.Errorf("another key's record: %v", err)
	}
}

// The golden file holds the record of version 2; a release must go on reading it.
func TestRecordGolden(t *testing.T) {
	record, _ := seal(testHead(), "body")
	path := filepath.Join("testdata", "record-v2.hex")
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(record); got != string(bytes.TrimSpace(golden)) {
		t.Errorf("the form of a record has changed; give it a new version\n got %s\nwant %s", got, golden)
	}
}

func TestFollows(t *testing.T) {
	at := testHead().Prev
	for name, c := range map[string]struct {
		change func(h *Head)
		ok     bool
	}{
		"as it was":            {func(*Head) {}, true},
		"of another issuer":    {func(h *Head) { h.Issuer = "demo-b" }, false},
		"at another place":     {func(h *Head) { h.Offset++ }, false},
		"after another offset": {func(h *Head) { h.Prev.Offset-- }, false},
		"after another hash":   {func(h *Head) { h.Prev.Hash[31] ^= 1 }, false},
		"a beat there":         {func(h *Head) { h.Kind = Beat }, true},
		"a beat replayed":      {func(h *Head) { h.Kind, h.Offset = Beat, 11 }, false},
	} {
		h := testHead()
		c.change(&h)
		if err := h.Follows(at, "demo-a", 12); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrChain) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	record, _ := seal(testHead(), "body")
	f.Add(record)
	f.Add(record[:70])
	f.Fuzz(func(t *testing.T, b []byte) {
		head, body, _, err := Open(b)
		if err != nil {
			return
		}
		// What is read can be written: the same bytes up to the signature.
		again := append(AppendHead(nil, head), body...)
		copy(b[2:8], again[2:8]) // but for versions, kinds and reserved bytes that only a later release gives a meaning
		if !bytes.Equal(again, b[:len(b)-ed25519.SignatureSize]) {
			t.Errorf("%x became %x", b, again)
		}
	})
}
