package origin

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/scanedge/scanedge/sync/durable"
)

// maxSums is the size of the largest SHA256SUMS, in bytes: that of some 100,000 files.
const maxSums = 16 << 20

// ErrCut is the error of a backup that is not whole.
var ErrCut = errors.New("it is not whole: the backup that made it was cut off")

// Received is a backup that was received.
type Received struct {
	Backup
	Files int
	Bytes int64
}

// ReceiveBackup writes a backup, as the origin sends it, into an empty folder and returns once it is on disk and was verified as
// [VerifyBackup] does. After an error the folder is empty again; after a crash what is in it is no backup. It takes little memory.
func ReceiveBackup(from io.Reader, dir string) (r Received, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write a backup to %s: %w", dir, err), empty(dir))
		}
	}()
	in := receiver{dir: dir, sums: map[string][]byte{}}
	text, err := in.receive(tar.NewReader(from))
	if err != nil {
		return r, err
	}
	if err := durable.SyncFolders(dir); err != nil {
		return r, err
	}
	if r.Backup, err = checkBackup(dir); err != nil {
		return r, err
	}
	r.Files, r.Bytes = len(in.sums)+1, in.size
	return r, durable.WriteFile(filepath.Join(dir, sumsFile), text)
}

func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

// receiver writes the files of a backup.
type receiver struct {
	dir  string
	sums map[string][]byte
	size int64
}

// receive writes all files but SHA256SUMS, which it compares with them and returns.
func (in *receiver) receive(from *tar.Reader) (sums []byte, err error) {
	for {
		head, err := from.Next()
		if err != nil { // an end, too, comes too early
			return nil, fmt.Errorf("the origin's answer broke off after %d files, %d bytes: %w; try again", len(in.sums), in.size, early(err))
		}
		switch {
		case head.Name == failedFile:
			why, _ := io.ReadAll(io.LimitReader(from, 4<<10))
			return nil, fmt.Errorf("the origin could not send all: %s", why)
		case head.Name == sumsFile:
			text, err := io.ReadAll(io.LimitReader(from, maxSums))
			if err == nil {
				err = in.end(from, text)
			}
			return text, err
		case head.Typeflag != tar.TypeReg || !filepath.IsLocal(head.Name) || in.sums[head.Name] != nil:
			return nil, fmt.Errorf("the answer has an entry %q that no backup has", head.Name)
		}
		if err := in.write(head.Name, from); err != nil {
			return nil, fmt.Errorf("%s: %w", head.Name, early(err))
		}
	}
}

// early is err, but for an end.
func early(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// end holds what was received to what was sent.
func (in *receiver) end(from *tar.Reader, text []byte) error {
	if !bytes.Equal(text, sumsText(in.sums)) {
		return errors.New("what came is not what the origin sent; try again")
	}
	if _, err := from.Next(); err != io.EOF {
		return fmt.Errorf("more follows, or an end that is none: %w", early(err))
	}
	return nil
}

func (in *receiver) write(name string, from io.Reader) error {
	path := filepath.Join(in.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := durable.Create(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer f.Discard()
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, hash), from)
	if err == nil {
		err = f.Commit(path)
	}
	if err != nil {
		return err
	}
	in.sums[name] = hash.Sum(nil)
	in.size += n
	return nil
}
