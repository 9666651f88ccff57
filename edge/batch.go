package edge

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/edge/passcode"
)

const (
	maxCodes = 10_000  // lines in one batch
	maxBody  = 1 << 20 // bytes of one batch

	// runLines is how many lines are read before the table is asked for the first of them. The memory that a lookup needs takes as long
	// to come as some two more lines take to be read; a clock is read once a run.
	runLines = 128

	// maxAnswers bounds the answers, in bytes, that are held at one time because their scanners have not taken them yet.
	maxAnswers = 64 << 20

	usualAnswer = 80 // bytes of a line
)

// handleBatch answers POST /v1/scan: codes in, a line each, answers out in the same order, a line each.
func (s *Server) handleBatch(ctx *fasthttp.RequestCtx, by *asker) {
	if !s.admit(ctx, fasthttp.MethodPost, by) {
		return
	}
	if coding := ctx.Request.Header.ContentEncoding(); len(coding) > 0 && string(coding) != "identity" {
		fail(ctx, scanedge.UnsupportedCoding)
		return
	}
	sent, ok := s.readBody(ctx)
	if !ok {
		return
	}
	defer sent.release()
	body := sent.bytes
	lines := 1 + bytes.Count(body[:max(0, len(body)-1)], newline) // what ends the last line begins no other
	if lines > maxCodes {
		fail(ctx, scanedge.TooManyCodes)
		return
	}
	if !s.spend(ctx, by, lines) {
		return
	}
	b := s.batches.take()
	if b == nil {
		s.shedBy["bodies"].Inc()
		failOverloaded(ctx)
		return
	}
	b.text, b.json = wantsText(ctx), isNDJSON(ctx)
	b.out = slices.Grow(b.out, lines*usualAnswer)
	b.judge(s, body, by)
	if b.text {
		ctx.Response.Header.SetContentTypeBytes(typeText)
	} else {
		ctx.Response.Header.SetContentTypeBytes(typeNDJSON)
	}
	ctx.Response.SetBodyRaw(b.out)
	s.batches.held.Add(int64(cap(b.out)))
	ctx.SetUserValue("batch", b) // the server calls its Close when the answer is written, or can't be
}

var newline = []byte{'\n'}

// isNDJSON reports whether the lines of a request are JSON.
func isNDJSON(ctx *fasthttp.RequestCtx) bool {
	kind, _, _ := bytes.Cut(ctx.Request.Header.ContentType(), []byte{';'})
	return bytes.EqualFold(bytes.TrimSpace(kind), typeNDJSON)
}

// batch is what one batch is judged and answered with. It belongs to one request at a time, until its Close.
type batch struct {
	text bool // the answer is words
	json bool // the lines are JSON
	out  []byte

	// The lines of a run, in order.
	verdicts [runLines]verdict
	keys     [runLines]cache.Key
	records  [runLines]cache.Record
	ask      [runLines]bool // the table is to be asked

	unquoted []byte // codes of a run's lines of JSON with escapes
	like     like
	at       moment

	owner *batches // counts its answer until its Close
}

// judge appends the answers to all lines of body.
func (b *batch) judge(s *Server, body []byte, by *asker) {
	for len(body) > 0 {
		b.unquoted, b.like = b.unquoted[:0], like{} // they are of one run
		n := 0
		for ; n < runLines && len(body) > 0; n++ {
			var line []byte
			line, body, _ = bytes.Cut(body, newline)
			b.open(s, n, b.code(line), by)
		}
		b.lookup(n)
		b.at.begin(s.now(by.at))
		b.tell(s, n, by)
	}
}

// code is the code in a line.
func (b *batch) code(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	if !b.json {
		return line
	}
	var code []byte
	b.unquoted, code = codeInJSON(b.unquoted, line)
	return code
}

// open reads the i-th code of a run.
func (b *batch) open(s *Server, i int, code []byte, by *asker) {
	v := &b.verdicts[i]
	if subject, ok := b.like.subject(code); ok {
		v.plain(b.like.held, b.like.vouch)
		b.keys[i], b.ask[i] = v.vouch.Seed.Key(subject), true
		v.vouch.Table.Touch(b.keys[i])
	} else {
		*v = verdict{}
		b.keys[i], b.ask[i] = s.open(v, code, by)
		if b.ask[i] && v.code.Kind == passcode.Plain {
			b.like = like{v.held, v.vouch}
		}
	}
}

// like is where a plain code came that got as far as the table. Server.open lets all others of that issuer come as far.
type like struct {
	held  *held // nil: there is none
	vouch *Vouch
}

// subject is the subject of a code like that.
func (l *like) subject(code []byte) ([]byte, bool) {
	if l.held == nil {
		return nil, false
	}
	n := len(l.held.prefix)
	if len(code) <= n || string(code[:n]) != l.held.prefix {
		return nil, false
	}
	return code[n:], cache.IsSubject(code[n:])
}

// lookup asks the tables for the lines of a run, those of one table together.
func (b *batch) lookup(n int) {
	for from, end := 0, 0; from < n; from = max(end, from+1) {
		for end = from; end < n && b.ask[end] && b.verdicts[end].vouch.Table == b.verdicts[from].vouch.Table; end++ {
		}
		if end == from {
			continue // a line that asks no table
		}
		b.verdicts[from].vouch.Table.LookupMany(b.keys[from:end], b.records[from:end])
		for i := from; i < end; i++ {
			b.verdicts[i].found(b.records[i], b.records[i] != cache.Removed)
		}
	}
}

// tell ends the verdicts of a run and appends them.
func (b *batch) tell(s *Server, n int, by *asker) {
	for i := range b.verdicts[:n] {
		v := &b.verdicts[i]
		s.settle(v, by, &b.at)
		b.out = v.appendLine(b.out, b.text, &b.at)
	}
}

// batches lends what batches are answered with.
type batches struct {
	pool sync.Pool    // of *batch
	held atomic.Int64 // bytes of answers that wait to be taken
}

// take returns a batch with nothing in it, or nil while too many answers wait to be taken.
func (p *batches) take() *batch {
	if p.held.Load() >= maxAnswers {
		return nil
	}
	b, _ := p.pool.Get().(*batch)
	if b == nil {
		b = &batch{owner: p}
	}
	return b
}

// Close gives back a batch whose answer nobody needs any more.
func (b *batch) Close() error {
	b.owner.held.Add(-int64(cap(b.out)))
	b.out = b.out[:0]
	b.owner.pool.Put(b)
	return nil
}
