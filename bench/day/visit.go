package day

import (
	"bytes"

	"github.com/scanedge/scanedge/bench/load"
)

// visit is what a number stands for. [Script.Visit] makes it, it goes with what is sent, and tells the judge what the answer must
// be. Its room is used again for another one.
type visit struct {
	dice
	op     Operation
	upload bool
	holder bool   // no scanner key goes with it
	eol    string // of an upload's lines
	weight uint32 // visits that it stands for
	text   []byte // the code as it is sent: percent-encoded in a path, raw in an upload; or an upload's lines
	wants  []want // what an edge must say of each code
}

// visitIn is the visit that goes with what is sent, with nothing in it.
func visitIn(out *load.Visit) *visit {
	v, used := out.Asked.(*visit)
	if !used {
		v = new(visit)
		out.Asked = v
	}
	v.upload, v.holder, v.weight, v.eol, v.text, v.wants = false, false, 1, "\n", v.text[:0], v.wants[:0]
	return v
}

// Where visits go.
const (
	uploadPath = "/v1/scan"
	scanPath   = "/v1/scan/"
)

// noKey is how a visit says that it carries no scanner key.
const noKey = "-"

// send fills what is sent.
func (v *visit) send(out *load.Visit) {
	out.Op, out.Key, out.Weight = int(v.op), "", v.weight
	if v.holder {
		out.Key = noKey
	}
	if v.upload {
		out.Path, out.Body = append(out.Path[:0], uploadPath...), append(out.Body[:0], v.text...)
	} else {
		out.Path, out.Body = append(append(out.Path[:0], scanPath...), v.text...), out.Body[:0]
	}
}

// code appends a code, or a part of one.
func (v *visit) code(parts ...string) {
	for _, p := range parts {
		v.text = append(v.text, p...)
	}
}

// expect says what must be said of the code.
func (v *visit) expect(w want) { v.wants = append(v.wants, w) }

// end ends an upload's line.
func (v *visit) end() { v.code(v.eol) }

// sentCode is a code of a visit, by its place, as it was sent.
func sentCode(sent *load.Visit, k int) string {
	if len(sent.Body) == 0 {
		return string(bytes.TrimPrefix(sent.Path, []byte(scanPath)))
	}
	lines := bytes.Split(sent.Body, []byte("\n"))
	return string(bytes.TrimSuffix(lines[k], []byte("\r")))
}
