package snapshot

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"

	"github.com/scanedge/scanedge/sync/issuer"
)

// parts checks a table's file that comes in order, bit by bit.
type parts struct {
	all     []issuer.Part
	size    int64 // of the file
	checked int64 // so many bytes are known to be right: all parts before the current one
	at      int64 // so many came
	current int   // the part that is coming
	hash    hash.Hash
}

func newParts(f File) *parts {
	return &parts{all: f.Parts.Parts, size: f.Size(), hash: sha256.New()}
}

var errPart = errors.New("a part is not what the issuer signed")

func (p *parts) whole() bool { return p.current == len(p.all) }

// room is how many bytes of b belong to the current part.
func (p *parts) room(b []byte) int {
	return int(min(int64(len(b)), p.checked+p.all[p.current].Size-p.at))
}

// add takes bytes of the current part, and checks it once it is whole. After errPart it is to come again from its beginning.
func (p *parts) add(b []byte) error {
	_, _ = p.hash.Write(b)
	p.at += int64(len(b))
	if p.at < p.checked+p.all[p.current].Size {
		return nil
	}
	if issuer.Hash(p.hash.Sum(nil)) != p.all[p.current].SHA256 {
		p.back()
		return errPart
	}
	p.hash.Reset()
	p.checked = p.at
	p.current++
	return nil
}

// back goes back to the beginning of the current part.
func (p *parts) back() {
	p.hash.Reset()
	p.at = p.checked
}

// read takes what r has, as far as it is right.
func (p *parts) read(r io.Reader) error {
	buf := make([]byte, chunk)
	for !p.whole() {
		n, err := r.Read(buf[:p.room(buf)])
		if aerr := p.add(buf[:n]); aerr != nil {
			return aerr
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
