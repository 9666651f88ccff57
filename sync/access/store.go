package access

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Why a token is not made, rotated or revoked.
var (
	ErrUnknown   = errors.New("no such token, or it was revoked or has expired")
	ErrNameTaken = errors.New("another token of that kind has that name: revoke that one first, rotate it, or choose another name")
	ErrLastAdmin = errors.New("it is the last admin token without an end: make another first, or nobody can give orders any more")
	ErrTooMany   = errors.New("there are as many tokens as an origin keeps: revoke what nobody uses")
)

const (
	maxTokens = 10_000      // that live
	maxEnded  = 1_000       // that were revoked or have expired and are still listed, the newest
	usesEvery = time.Minute // how often last uses are written: so much of them is lost with a crash
)

// Store is an origin's tokens: access.json and what is in force. Its methods are safe for concurrent use; Keep is called once.
type Store struct {
	path string

	doors atomic.Pointer[map[Hash]door] // what is in force; replaced whole

	mu       sync.Mutex    // guards what follows, and the bearers' records
	bearers  []*Bearer     // as they were made
	serial   uint64        // of what edges are to be told
	outdated chan struct{} // closed when serial grows
	uses     int64         // the newest use that the file has, Unix seconds
}

// door is what a secret opens, until a time; zero: as long as nothing changes.
type door struct {
	bearer *Bearer
	until  time.Time
}

// Open reads dir/access.json. Where there is none it lets in the tokens that dir/tokens.json shows, which it makes if need be; shown
// is what that file says, of which nothing may be true any more.
func Open(dir string) (s *Store, shown Tokens, err error) {
	s = &Store{path: filepath.Join(dir, "access.json"), outdated: make(chan struct{})}
	file := filepath.Join(dir, "tokens.json")
	had, err := s.read()
	if err != nil {
		return nil, Tokens{}, err
	}
	if had {
		if shown, err = readShown(file); err != nil { // deleted, or its time is over: access.json rules
			shown = Tokens{}
		}
	} else {
		if shown, err = readOrShow(file); err != nil {
			return nil, Tokens{}, err
		}
		for kind, token := range shown.byKind() {
			s.bearers = append(s.bearers, s.bearer(Token{Kind: kind, Name: firstNames[kind]}, token))
		}
		slices.SortFunc(s.bearers, func(a, b *Bearer) int { return cmp.Compare(a.Kind, b.Kind) })
	}
	s.serial = s.next()
	if !had {
		if err := s.write(); err != nil {
			return nil, Tokens{}, err
		}
	}
	s.open()
	return s, shown, nil
}

// bearer makes one of a token that is new.
func (s *Store) bearer(t Token, token string) *Bearer {
	for t.ID = newID(); s.find(t.ID) != nil; {
		t.ID = newID()
	}
	t.Made = time.Now().UTC().Truncate(time.Second)
	return &Bearer{record: record{t, []secret{{Hash: HashOf([]byte(token))}}}}
}

func newID() string { return strings.ToLower(rand.Text()[:8]) }

func (s *Store) find(id string) *Bearer {
	for _, b := range s.bearers {
		if b.ID == id {
			return b
		}
	}
	return nil
}

// Lives reports whether a token of that id is in force.
func (s *Store) Lives(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.find(id)
	return b != nil && b.Lives(time.Now())
}

// Check returns who brings a token of that kind, if it is one that is in force, and notes the use. It allocates nothing and takes a
// time that says nothing of the tokens.
func (s *Store) Check(kind Kind, token []byte) (*Bearer, bool) {
	d, ok := (*s.doors.Load())[HashOf(token)]
	if !ok || d.bearer.Kind != kind {
		return nil, false
	}
	now := time.Now()
	if !d.until.IsZero() && !now.Before(d.until) {
		return nil, false
	}
	d.bearer.used.Store(now.Unix())
	return d.bearer, true
}

// Control returns what edges are told of scanner keys: those in force with the serial, and a channel that is closed when that is out of
// date.
func (s *Store) Control() (c Control, outdated <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c = Control{Version: ControlVersion, Serial: s.serial, ScannerKeys: Set{}, ScannerIDs: map[Hash]string{}, ScannerLimits: map[string]Limits{}}
	for hash, d := range *s.doors.Load() {
		if d.bearer.Kind == Scan {
			c.ScannerKeys[hash], c.ScannerIDs[hash] = d.bearer.Name(), d.bearer.ID
			if l, own := d.bearer.Limits(); own {
				c.ScannerLimits[d.bearer.ID] = l
			}
		}
	}
	return c, s.outdated
}

// Used notes when edges say that scanner keys were used, in Unix seconds by token id. What is no scanner key is
// passed over; nothing was used later than now.
func (s *Store) Used(uses map[string]int64) {
	now := time.Now().Unix()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.bearers {
		if at := uses[b.ID]; b.Kind == Scan && at > b.used.Load() {
			b.used.Store(min(at, now))
		}
	}
}

// Changed says that something else that edges are told has changed.
func (s *Store) Changed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open()
}

// List returns all tokens, also those that ended of late, as they were made.
func (s *Store) List() []Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Token, len(s.bearers))
	for i, b := range s.bearers {
		all[i] = b.known()
	}
	return all
}

// known is the token with its last use. Its caller holds the store's mu.
func (b *Bearer) known() Token {
	t := b.Token
	if used := b.used.Load(); used != 0 {
		t.Used = time.Unix(used, 0).UTC()
	}
	return t
}

// Create makes a token that passes [Token.Check], of which kind, name, issuers, limits and end are taken over, and returns it with
// its plain text, which is kept nowhere. It is in force when it returns without an error, and does not exist otherwise.
func (s *Store) Create(t Token) (made Token, token string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, lives := time.Now(), 0
	for _, b := range s.bearers {
		if !b.Lives(now) {
			continue
		}
		if lives++; b.Kind == t.Kind && b.Name() == t.Name {
			return Token{}, "", ErrNameTaken
		}
	}
	if lives >= maxTokens {
		return Token{}, "", ErrTooMany
	}
	token = newToken(t.Kind)
	b := s.bearer(t, token)
	before := s.bearers
	s.bearers = append(slices.Clip(before), b)
	if err := s.write(); err != nil {
		s.bearers = before
		return Token{}, "", err
	}
	s.open()
	return b.Token, token, nil
}

// Rotate gives a token another secret, which is in force beside the one before for so long; any older one ends. After an error
// nothing has changed.
func (s *Store) Rotate(id string, overlap time.Duration) (token string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().UTC()
	b := s.find(id)
	if b == nil || !b.Lives(now) {
		return "", ErrUnknown
	}
	token = newToken(b.Kind)
	rotated, secrets := b.Rotated, b.Secrets
	b.Rotated, b.Secrets = now.Truncate(time.Second), []secret{{Hash: HashOf([]byte(token))}}
	if overlap > 0 {
		b.Secrets = append(b.Secrets, secret{secrets[0].Hash, now.Add(overlap)})
	}
	if err := s.write(); err != nil {
		b.Rotated, b.Secrets = rotated, secrets
		return "", err
	}
	s.open()
	return token, nil
}

// Revoke ends a token at once, also when it returns an error of the file: then a restart of the origin would let it in again. What
// was revoked before is revoked again.
func (s *Store) Revoke(id string) (Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().UTC()
	b := s.find(id)
	if b == nil {
		return Token{}, ErrUnknown
	}
	if b.Lives(now) && s.lastAdmin(b, now) {
		return Token{}, ErrLastAdmin
	}
	if b.Revoked.IsZero() {
		b.Revoked, b.Secrets = now.Truncate(time.Second), nil
		s.open()
	}
	return b.known(), s.write()
}

// lastAdmin reports whether without b nobody could give orders for ever: a token that expires is no help for long.
func (s *Store) lastAdmin(b *Bearer, now time.Time) bool {
	stays := func(b *Bearer) bool { return b.Kind == Admin && b.Lives(now) && b.Expires.IsZero() }
	return stays(b) && !slices.ContainsFunc(s.bearers, func(other *Bearer) bool { return other != b && stays(other) })
}

// open puts in force what the bearers say, and tells who waits for it. Its caller holds mu, or is the only one yet.
func (s *Store) open() {
	now := time.Now()
	doors := map[Hash]door{}
	for _, b := range s.bearers {
		if !b.Lives(now) {
			continue
		}
		for _, secret := range b.Secrets {
			until := earlier(secret.Until, b.Expires)
			if until.IsZero() || now.Before(until) {
				doors[secret.Hash] = door{b, until}
			}
		}
	}
	s.doors.Store(&doors)
	s.serial = s.next()
	close(s.outdated)
	s.outdated = make(chan struct{})
}

// next is the serial after this one: the clock's microseconds, so that it grows also when access.json comes from a backup; and more
// than before in any case, which access.json says, so that it grows also when the clock was set back.
func (s *Store) next() uint64 { return max(s.serial+1, uint64(time.Now().UnixMicro())) }

// earlier is the earlier of two ends, of which a zero one is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Keep ends what expires and writes last uses down once a minute, until ctx ends, and then once more.
func (s *Store) Keep(ctx context.Context, logger *slog.Logger) {
	minute := time.NewTicker(usesEvery)
	defer minute.Stop()
	for {
		left, outdated := s.untilEnd()
		if left <= 0 {
			s.Changed()
			continue
		}
		end := time.NewTimer(left)
		select {
		case <-end.C:
		case <-outdated:
		case <-minute.C:
			s.keepUses(logger)
		case <-ctx.Done():
			end.Stop()
			s.keepUses(logger)
			return
		}
		end.Stop()
	}
}

// untilEnd is how long nothing that is in force ends, unless outdated is closed before.
func (s *Store) untilEnd() (left time.Duration, outdated <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var end time.Time
	for _, d := range *s.doors.Load() {
		end = earlier(end, d.until)
	}
	if end.IsZero() {
		return time.Hour, s.outdated
	}
	return min(time.Until(end), time.Hour), s.outdated // by the clock, which may be set
}

// keepUses writes the last uses down, if there are any that the file has not.
func (s *Store) keepUses(logger *slog.Logger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	newest := s.uses
	for _, b := range s.bearers {
		newest = max(newest, b.used.Load())
	}
	if newest == s.uses {
		return
	}
	if err := s.write(); err != nil {
		logger.Warn(fmt.Sprintf("the last uses of tokens are not written down; trying again in %v", usesEvery), "err", err)
	}
}
