package access

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func create(t *testing.T, s *Store, token Token) (Token, string) {
	t.Helper()
	made, plain, err := s.Create(token)
	if err != nil {
		t.Fatal(err)
	}
	return made, plain
}

// What is made is in force, also after a start; its plain text is in no file.
func TestCreate(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir)
	made, plain := create(t, s, Token{Kind: Push, Name: "广州", Issuers: []string{"gz", "sz"}, Rate: 5, MaxDeltas: 10})
	for _, s := range []*Store{s, first(open(t, dir))} {
		admits(t, s, Push, plain, "广州")
		b, _ := s.Check(Push, []byte(plain))
		if !b.May("gz") || !b.May("sz") || b.May("hz") || b.Largest(1000) != 10 || b.Largest(5) != 5 || b.ID != made.ID {
			t.Errorf("it is taken for %+v", b.Token)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "access.json")); err != nil || strings.Contains(string(b), plain) ||
		!strings.Contains(string(b), made.ID) {
		t.Errorf("access.json: %s, %v", b, err)
	}
	if _, _, err := s.Create(Token{Kind: Push, Name: "广州"}); !errors.Is(err, ErrNameTaken) {
		t.Errorf("a second token of the name: %v", err)
	}
	create(t, s, Token{Kind: Scan, Name: "广州"})
	if _, err := s.Revoke(made.ID); err != nil {
		t.Fatal(err)
	}
	create(t, s, Token{Kind: Push, Name: "广州"})
}

func first(s *Store, _ Tokens) *Store { return s }

func TestWhatNoTokenCanBe(t *testing.T) {
	for name, c := range map[string]struct {
		token Token
		want  string
	}{
		"good":                {Token{Kind: Push, Name: strings.Repeat("门", 64), Rate: 0.1, MaxDeltas: 1, Issuers: []string{"a"}}, ""},
		"kind":                {Token{Kind: "root", Name: "n"}, "must be push, scan or admin"},
		"an edge":             {Token{Kind: "edge", Name: "n"}, "must be push, scan or admin"},
		"no name":             {Token{Kind: Push}, "1 to 64 printable"},
		"a long name":         {Token{Kind: Push, Name: strings.Repeat("门", 65)}, "1 to 64 printable"},
		"a control character": {Token{Kind: Push, Name: "a\tb"}, "1 to 64 printable"},
		"no text":             {Token{Kind: Push, Name: "a\xff"}, "1 to 64 printable"},
		"a gate's issuers":    {Token{Kind: Scan, Name: "n", Issuers: []string{"a"}}, "are for push tokens"},
		"an operator's rate":  {Token{Kind: Admin, Name: "n", Rate: 1}, "rate is for push tokens and scanner keys"},
		"a pusher's burst":    {Token{Kind: Push, Name: "n", Rate: 1, Burst: 1}, "burst and guard are for scanner keys"},
		"an operator's guard": {Token{Kind: Admin, Name: "n", Guard: new(bool)}, "burst and guard are for scanner keys"},
		"a gate":              {Token{Kind: Scan, Name: "n", Rate: 5, Burst: 1, Guard: new(bool)}, ""},
		"a gate's rate":       {Token{Kind: Scan, Name: "n", Rate: 1e9, Burst: 1}, "rate 1e+09: it must be 0.01 to 10000000 scans"},
		"a gate's burst":      {Token{Kind: Scan, Name: "n", Rate: 1}, "burst 0: it must be 1 scan or more"},
		"a burst alone":       {Token{Kind: Scan, Name: "n", Burst: 1}, "without a rate"},
		"rate":                {Token{Kind: Push, Name: "n", Rate: -1}, "rate -1"},
		"size":                {Token{Kind: Push, Name: "n", MaxDeltas: -1}, "max_deltas -1"},
	} {
		err := c.token.Check()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A scanner key's limits reach the edges, by the token's id, and outlive a start; those of which nothing was said do not.
func TestLimitsOfScannerKeys(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir)
	ids := map[string]Limits{}
	for name, l := range map[string]Limits{"gate": {5, 50, true}, "gateway": {}, "default": NewLimits(nil, nil, nil)} {
		token := Token{Kind: Scan, Name: name}
		token.Limit(l)
		made, _ := create(t, s, token)
		ids[made.ID] = l
	}
	create(t, s, Token{Kind: Push, Name: "p", Rate: 1})
	for _, s := range []*Store{s, first(open(t, dir))} {
		if c, _ := s.Control(); !maps.Equal(c.ScannerLimits, ids) || len(c.ScannerKeys) != 4 {
			t.Errorf("%+v of %d keys, not %+v", c.ScannerLimits, len(c.ScannerKeys), ids)
		}
	}
}

func TestNewLimits(t *testing.T) {
	for _, c := range []struct {
		rate  *float64
		burst *int
		guard *bool
		want  Limits
	}{
		{nil, nil, nil, Limits{1000, 10_000, true}}, {new(0.05), nil, nil, Limits{0.05, 1, true}}, {new(5.0), new(7), new(false), Limits{5, 7, false}},
		{new(0.0), nil, new(false), Limits{}}, {nil, new(7), nil, Limits{1000, 7, true}},
	} {
		if got := NewLimits(c.rate, c.burst, c.guard); got != c.want {
			t.Errorf("%+v, not %+v", got, c.want)
		}
	}
}

// The secret before goes on for the overlap, any older one ends at once, and no start changes that.
func TestRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s, shown := open(t, dir)
		id := s.find(s.List()[0].ID).ID // admin sorts first
		rotate := func(overlap time.Duration) string {
			t.Helper()
			plain, err := s.Rotate(id, overlap)
			if err != nil {
				t.Fatal(err)
			}
			return plain
		}
		second := rotate(time.Hour)
		admits(t, s, Admin, shown.Admin, "admin")
		third := rotate(24 * time.Hour)
		check := func(want string, tokens ...string) {
			t.Helper()
			for _, s := range []*Store{s, first(open(t, dir))} {
				for i, token := range tokens {
					admits(t, s, Admin, token, map[byte]string{'1': "admin"}[want[i]])
				}
			}
		}
		check("011", shown.Admin, second, third)
		time.Sleep(24*time.Hour - time.Nanosecond)
		check("11", second, third)
		time.Sleep(time.Nanosecond)
		check("01", second, third)
		fourth := rotate(0)
		check("001", second, third, fourth)
		if got := s.List()[0]; got.Rotated.IsZero() {
			t.Errorf("%+v", got)
		}
		if _, err := s.Rotate("nobody", 0); !errors.Is(err, ErrUnknown) {
			t.Errorf("an unknown id: %v", err)
		}
	})
}

func TestRevoke(t *testing.T) {
	dir := t.TempDir()
	s, shown := open(t, dir)
	made, plain := create(t, s, Token{Kind: Push, Name: "n"})
	old := plain
	plain, err := s.Rotate(made.ID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := s.Revoke(made.ID); err != nil || got.Revoked.IsZero() {
			t.Errorf("%+v, %v", got, err)
		}
		for _, s := range []*Store{s, first(open(t, dir))} {
			admits(t, s, Push, old, "")
			admits(t, s, Push, plain, "")
			admits(t, s, Push, shown.Push, "push")
		}
	}
	if _, err := s.Rotate(made.ID, 0); !errors.Is(err, ErrUnknown) {
		t.Errorf("it rotates: %v", err)
	}
	if _, err := s.Revoke("nobody"); !errors.Is(err, ErrUnknown) {
		t.Errorf("an unknown id: %v", err)
	}
}

// One admin token without an end is left in any case.
func TestTheLastAdminStays(t *testing.T) {
	s, shown := open(t, t.TempDir())
	admin := s.List()[0].ID
	short, _ := create(t, s, Token{Kind: Admin, Name: "for a day", Expires: time.Now().Add(24 * time.Hour)})
	for _, id := range []string{admin, admin} {
		if _, err := s.Revoke(id); !errors.Is(err, ErrLastAdmin) {
			t.Errorf("%v", err)
		}
	}
	admits(t, s, Admin, shown.Admin, "admin")
	if _, err := s.Revoke(short.ID); err != nil {
		t.Error(err)
	}
	second, _ := create(t, s, Token{Kind: Admin, Name: "second"})
	if _, err := s.Revoke(admin); err != nil {
		t.Error(err)
	}
	if _, err := s.Revoke(second.ID); !errors.Is(err, ErrLastAdmin) {
		t.Errorf("%v", err)
	}
	if _, err := s.Revoke(admin); err != nil { // it was before
		t.Error(err)
	}
}

// A token that expires is let in until then, its name is free after it, and who waits for changes is told.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := open(t, t.TempDir())
		go s.Keep(t.Context(), slog.New(slog.DiscardHandler))
		made, plain := create(t, s, Token{Kind: Scan, Name: "gate", Expires: time.Now().Add(90 * time.Minute)})
		c, outdated := s.Control()
		keys, serial := c.ScannerKeys, c.Serial
		if len(keys) != 2 || keys[HashOf([]byte(plain))] != "gate" {
			t.Errorf("%v", keys)
		}
		time.Sleep(90*time.Minute - time.Nanosecond)
		admits(t, s, Scan, plain, "gate")
		select {
		case <-outdated:
			t.Error("something changed")
		default:
		}
		<-outdated
		if !time.Now().Equal(made.Expires) {
			t.Errorf("told at %v, not at %v", time.Now(), made.Expires)
		}
		admits(t, s, Scan, plain, "")
		if c, _ := s.Control(); len(c.ScannerKeys) != 1 || c.Serial <= serial {
			t.Errorf("serial %d after %d, %d keys", c.Serial, serial, len(c.ScannerKeys))
		}
		create(t, s, Token{Kind: Scan, Name: "gate"})
	})
}

// The last use is shown at once, and is in the file after a minute and at the end.
func TestUses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s, shown := open(t, dir)
		done := make(chan struct{})
		ctx, stop := withCancel(t)
		go func() { defer close(done); s.Keep(ctx, slog.New(slog.DiscardHandler)) }()
		use := func() time.Time {
			s.Check(Admin, []byte(shown.Admin))
			return time.Now().UTC().Truncate(time.Second)
		}
		inFile := func() time.Time { return first(open(t, dir)).List()[0].Used }
		one := use()
		if got := s.List()[0].Used; !got.Equal(one) || !inFile().IsZero() {
			t.Errorf("%v, in the file %v", got, inFile())
		}
		time.Sleep(usesEvery)
		synctest.Wait()
		if got := inFile(); !got.Equal(one) {
			t.Errorf("after a minute: %v, not %v", got, one)
		}
		time.Sleep(2 * time.Second)
		two := use()
		stop()
		<-done
		if got := inFile(); !got.Equal(two) {
			t.Errorf("at the end: %v, not %v", got, two)
		}
	})
}

// The serial grows with each change and over starts, also of a store that was brought back from a backup or when the clock is behind.
func TestSerial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s, _ := open(t, dir)
		backup, err := os.ReadFile(s.path)
		if err != nil {
			t.Fatal(err)
		}
		var last uint64
		grew := func(s *Store, what string) {
			t.Helper()
			if c, _ := s.Control(); c.Serial <= last {
				t.Errorf("%s: %d after %d", what, c.Serial, last)
			} else {
				last = c.Serial
			}
		}
		grew(s, "first")
		made, _ := create(t, s, Token{Kind: Scan, Name: "gate"})
		grew(s, "a key")
		if _, err := s.Rotate(made.ID, 0); err != nil {
			t.Fatal(err)
		}
		grew(s, "another secret")
		if _, err := s.Revoke(made.ID); err != nil {
			t.Fatal(err)
		}
		grew(s, "revoked")
		s.Changed()
		grew(s, "something else")
		time.Sleep(time.Millisecond)
		grew(first(open(t, dir)), "a start")
		write(t, dir, "access.json", string(backup))
		time.Sleep(time.Millisecond)
		grew(first(open(t, dir)), "a backup")
		last = uint64(time.Now().Add(time.Hour).UnixMicro())
		write(t, dir, "access.json", fmt.Sprintf(`{"version":1,"serial":%d}`, last))
		grew(first(open(t, dir)), "a clock that was set back")
	})
}

// A file that can't be written: what was to be made is not there, what was to be revoked is out all the same.
func TestAFileThatCantBeWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, shown := open(t, dir)
	made, plain := create(t, s, Token{Kind: Push, Name: "n"})
	if err := os.Rename(dir, dir+"-away"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Create(Token{Kind: Push, Name: "m"}); err == nil || len(s.List()) != 4 {
		t.Errorf("made: %v", err)
	}
	if _, err := s.Rotate(made.ID, 0); err == nil {
		t.Error("rotated")
	}
	s.Changed() // what is in force is what the tokens say
	admits(t, s, Push, plain, "n")
	if _, err := s.Revoke(made.ID); err == nil || !strings.Contains(err.Error(), "access.json") {
		t.Errorf("revoked: %v", err)
	}
	admits(t, s, Push, plain, "")
	if err := os.Rename(dir+"-away", dir); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Revoke(made.ID); err != nil {
		t.Error(err)
	}
	after, _ := open(t, dir)
	admits(t, after, Push, plain, "")
	admits(t, after, Push, shown.Push, "push")
}

func TestTooManyTokens(t *testing.T) {
	s, _ := open(t, t.TempDir())
	for i := len(s.bearers); i < maxTokens; i++ {
		s.bearers = append(s.bearers, &Bearer{record: record{Token: Token{ID: fmt.Sprint(i), Kind: Scan, Name: fmt.Sprint(i)}}})
	}
	if _, _, err := s.Create(Token{Kind: Push, Name: "one more"}); !errors.Is(err, ErrTooMany) {
		t.Error(err)
	}
}

func TestCheckAllocatesNothing(t *testing.T) {
	s, shown := open(t, t.TempDir())
	good, bad := []byte(shown.Push), []byte("push-nope")
	if n := testing.AllocsPerRun(100, func() { s.Check(Push, good); s.Check(Push, bad) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Everything at once, for the race detector; in the end no secret but the last of each opens a door.
func TestStoreUnderLoad(t *testing.T) {
	s, shown := open(t, t.TempDir())
	ctx, stop := withCancel(t)
	var keep, wg sync.WaitGroup
	keep.Go(func() { s.Keep(ctx, slog.New(slog.DiscardHandler)) })
	for g := range 4 {
		wg.Go(func() {
			made, plain, err := s.Create(Token{Kind: Scan, Name: fmt.Sprint(g)})
			for range 5 {
				if err != nil {
					t.Error(err)
					return
				}
				admits(t, s, Scan, plain, fmt.Sprint(g))
				admits(t, s, Push, shown.Push, "push")
				s.List()
				old := plain
				plain, err = s.Rotate(made.ID, 0)
				admits(t, s, Scan, old, "")
			}
		})
	}
	wg.Wait()
	stop()
	keep.Wait()
	if c, _ := s.Control(); len(c.ScannerKeys) != 5 {
		t.Errorf("%d keys", len(c.ScannerKeys))
	}
}
