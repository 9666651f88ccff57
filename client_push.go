package scanedge

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of what a push carries besides its deltas, in bytes.
const (
	maxKey  = 128
	maxNote = 512
)

// PushOption is something that a push carries besides its deltas, or how it is sent.
type PushOption func(*pushing)

// pushing is a push's options, gathered. The first of them that makes no sense is in err.
type pushing struct {
	key, encoding string
	header        http.Header
	retry         Retry
	err           error
}

// WithKey names the push, by 1 to 128 visible ASCII characters of the caller's choice. The origin applies a key's push once:
// sending it again with the same deltas gets the first receipt, marked Replayed; with others it is the problem KeyReused. An
// issuer's keys are known for 24 hours, and no more than the newest 1,000,000. So a push whose outcome is not known is sent
// again until it is; also [Origin.Pushed] finds it.
func WithKey(key string) PushOption {
	return func(p *pushing) {
		p.key = key
		p.fail(checkKey(key))
		p.header.Set("Idempotency-Key", key)
	}
}

// WithIfMatch lets the push in only if offset is that of the issuer's last batch, 0 if nothing was ever pushed; else it is the
// problem OffsetMoved, whose detail names the offset, and nothing is applied. A push whose key is known is answered before
// that.
func WithIfMatch(offset uint64) PushOption {
	return func(p *pushing) { p.header.Set("If-Match", `"`+strconv.FormatUint(offset, 10)+`"`) }
}

// WithNote keeps a note beside the push in the issuer's log, for those who read it later: up to 512 bytes of UTF-8 without
// control characters. The empty note is none.
func WithNote(note string) PushOption {
	return func(p *pushing) {
		p.fail(checkNote(note))
		if note != "" {
			p.header.Set("Scanedge-Note", escape(note))
		}
	}
}

// WithRun says that the push is a piece of something larger, such as a file, by an id of 1 to 128 visible ASCII characters: what the
// pieces of one id change within 24 hours counts together for the issuer's [MaxChange].
func WithRun(id string) PushOption {
	return func(p *pushing) { p.header.Set("Scanedge-Run", id) }
}

// WithEncoding says that the body of [Origin.PushReader] is compressed already: "gzip" or "zstd".
func WithEncoding(coding string) PushOption {
	return func(p *pushing) {
		p.encoding = coding
		p.header.Set("Content-Encoding", coding)
	}
}

// WithRetry keeps on sending the push while the origin is away, applied once all the same: one without a key gets a random
// one. What PushReader sends must then be a *bytes.Reader, *bytes.Buffer or *strings.Reader.
func WithRetry(r Retry) PushOption {
	return func(p *pushing) { p.retry = r }
}

func gather(options []PushOption) pushing {
	p := pushing{header: make(http.Header)}
	for _, option := range options {
		option(&p)
	}
	if p.key == "" && p.retry.For > 0 {
		WithKey(rand.Text())(&p)
	}
	return p
}

func (p *pushing) fail(problem *Problem) {
	if p.err == nil && problem != nil {
		p.err = problem
	}
}

func checkKey(key string) *Problem {
	other := func(r rune) bool { return r < '!' || r > '~' }
	if key == "" || len(key) > maxKey || strings.ContainsFunc(key, other) {
		return NewProblem(BadKey, fmt.Sprintf("the key is %q; it must be 1 to %d visible ASCII characters", key, maxKey))
	}
	return nil
}

func checkNote(note string) *Problem {
	switch {
	case len(note) > maxNote:
		return NewProblem(BadNote, fmt.Sprintf("the note has %d bytes; at most %d", len(note), maxNote))
	case !utf8.ValidString(note):
		return NewProblem(BadNote, "the note is not UTF-8")
	case strings.ContainsFunc(note, unicode.IsControl):
		return NewProblem(BadNote, "the note holds a control character, such as a line break")
	}
	return nil
}
