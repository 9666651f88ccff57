package cache

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestRecordKeepsWhatItWasMadeOf(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		s, reason := Status(rnd.IntN(4)), uint8(rnd.IntN(64))
		until := epoch.Add(time.Duration(rnd.Int64N(int64(MaxUntil.Sub(epoch)))))
		if rnd.IntN(4) == 0 {
			until = time.Time{}
		}
		r, err := NewRecord(s, reason, until)
		if err != nil {
			t.Fatal(err)
		}
		got, ends := r.Until()
		if r.Status() != s || r.Reason() != reason || ends == until.IsZero() {
			t.Fatalf("%v %d %v became %v", s, reason, until, r)
		}
		if ends && !got.Equal(until.Truncate(time.Minute)) {
			t.Fatalf("until %v became %v", until, got)
		}
		if r == Removed {
			t.Fatalf("%v %d %v is the record of a removal", s, reason, until)
		}
	}
}

func TestRecordBounds(t *testing.T) {
	if _, err := NewRecord(Green, 64, time.Time{}); err == nil {
		t.Error("reason 64 passed")
	}
	last, err := NewRecord(Void, MaxReason, MaxUntil.Add(59*time.Second))
	if err != nil || last == Removed {
		t.Errorf("the last minute: %v, %v", last, err)
	}
	if _, err := NewRecord(Green, 0, MaxUntil.Add(time.Minute)); err == nil || !strings.Contains(err.Error(), "2051") {
		t.Errorf("a minute past the last: %v", err)
	}
	old, err := NewRecord(Green, 0, time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	if until, _ := old.Until(); !until.Equal(epoch) || !old.LapsedAt(epoch.Unix()) {
		t.Errorf("an until of 1999 reads %v", old)
	}
}

func TestRecordLapsesWithItsMinute(t *testing.T) {
	until := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	r, err := NewRecord(Red, 7, until.Add(30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if w := r.Word(until.Unix() - 1); w != "red" {
		t.Errorf("a second before: %s", w)
	}
	if w := r.Word(until.Unix()); w != "lapsed" {
		t.Errorf("at its until: %s", w)
	}
	forever, _ := NewRecord(Yellow, 0, time.Time{})
	if w := forever.Word(1 << 40); w != "yellow" {
		t.Errorf("without end, in the far future: %s", w)
	}
}

func TestStatusWords(t *testing.T) {
	for _, s := range []Status{Green, Yellow, Red, Void} {
		if got, ok := ParseStatus([]byte(s.String())); !ok || got != s {
			t.Errorf("%v is read as %v, %v", s, got, ok)
		}
	}
	for _, w := range []string{"", "Green", "lapsed", "green ", "blue"} {
		if _, ok := ParseStatus([]byte(w)); ok {
			t.Errorf("%q is read as a status", w)
		}
	}
}
