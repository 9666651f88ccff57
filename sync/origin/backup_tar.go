package origin

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/scanedge/scanedge/sync/issuer"
)

// tarball is a backup on its way out.
type tarball struct {
	*tar.Writer
	flush func() error
	sums  map[string][]byte // SHA-256 by name
	size  int64
	midst bool // an entry was begun and not ended: nothing can be added any more
}

// add adds a file of so many bytes, which write writes.
func (t *tarball) add(name string, size int64, write func(io.Writer) error) error {
	hash := sha256.New()
	t.midst = true
	err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600})
	if err == nil {
		err = write(io.MultiWriter(t, hash))
	}
	if err == nil {
		err = t.Flush() // an error if it was not so many bytes
	}
	if err != nil {
		return fmt.Errorf("send %s: %w", name, err)
	}
	t.midst = false
	t.sums[name] = hash.Sum(nil)
	t.size += size
	return nil
}

func (t *tarball) bytes(name string, b []byte) error {
	return t.add(name, int64(len(b)), func(w io.Writer) error { _, err := w.Write(b); return err })
}

func (t *tarball) path(name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return t.file(name, f)
}

func (t *tarball) file(name string, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return t.add(name, info.Size(), func(w io.Writer) error { _, err := io.Copy(w, f); return err })
}

// records adds a file of records, named by the first of them.
func (t *tarball) records(folder string, records [][]byte) error {
	first, _, _, err := issuer.Open(records[0])
	if err != nil {
		return err
	}
	size := int64(0)
	for _, r := range records {
		size += issuer.FrameSize(r)
	}
	return t.add(path.Join(folder, fmt.Sprintf("%020d.records", first.Offset)), size, func(w io.Writer) error {
		for _, r := range records {
			if err := issuer.WriteFrame(w, r); err != nil {
				return err
			}
		}
		return nil
	})
}

// fail ends the tar with why it is not whole.
func (t *tarball) fail(why error) error {
	if t.midst {
		return why
	}
	if err := t.bytes(failedFile, []byte(why.Error())); err != nil {
		return err
	}
	return t.Close()
}

// sumsText is SHA256SUMS.
func sumsText(sums map[string][]byte) []byte {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		fmt.Fprintf(&b, "%s  %s\n", hex.EncodeToString(sums[name]), name)
	}
	return b.Bytes()
}

// parseSums reads what sumsText wrote; of anything else it reads what it can.
func parseSums(text []byte) map[string][]byte {
	sums := map[string][]byte{}
	for line := range strings.Lines(string(text)) {
		sum, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		sums[name], _ = hex.DecodeString(sum)
	}
	return sums
}
