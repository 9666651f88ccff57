package day

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge"
)

// pushedSubjects are subjects of one issuer of whose ticks so many were acknowledged, tick b at offset 10·(b+1), b seconds after noon.
func pushedSubjects(ticks uint64) *Subjects {
	offset := uint64(0)
	s := NewSubjects(1, &Scenario{Growth: 100, Changes: 320}, Population{[]string{"a"}, 100}, 20*time.Second,
		func(context.Context, string, []scanedge.Delta) (scanedge.Receipt, error) {
			offset += 10
			return scanedge.Receipt{Offset: offset}, nil
		})
	for b := range ticks {
		if err := s.pushTick(context.Background(), 0, "a", b); err != nil {
			panic(err)
		}
		s.marks[0][b].at = noon.Add(time.Duration(b) * time.Second)
	}
	return s
}

// 64 changes a tick: each tick turns every subject once, so after t ticks all are at place t of the wheel.
func TestWhatAChangedSubjectMustBe(t *testing.T) {
	s := pushedSubjects(3)
	w := want{issuer: "a", status: wheel[0], moves: turning, number: 5}
	for _, c := range []struct {
		offset uint64
		right  string // places of the wheel
	}{
		{9, "0123"}, // what is pushed may be shown before the offset says so, up to the one under way (place 4 is 0)
		{10, "1230"}, {20, "230"}, {29, "230"}, {30, "30"}, {99, "30"},
	} {
		for place, status := range wheel {
			got := said{Issuer: "a", Status: status, Offset: c.offset}
			fault := s.settle(w, got, noon).fault(got, noon)
			if right := strings.Contains(c.right, string('0'+rune(place))); right != (fault == "") {
				t.Errorf("%s at offset %d: fault %q, right %v", status, c.offset, fault, right)
			}
		}
	}
}

// Who is registered may be unknown to an edge for as long as it may say so, and no longer.
func TestWhatARegisteredSubjectMustBe(t *testing.T) {
	s := pushedSubjects(3) // one subject a tick
	for _, c := range []struct {
		number  uint64
		after   time.Duration
		unknown bool
	}{
		{0, shownWithin, true}, {0, shownWithin + 1, false}, {2, shownWithin + time.Second, true}, {2, shownWithin + 3*time.Second, false},
		{3, time.Hour, true}, // under way, or not pushed yet
	} {
		w := want{issuer: "a", status: scanedge.Green, moves: registering, number: c.number}
		unknown := onlyError(scanedge.UnknownSubject)
		if fault := s.settle(w, unknown, noon.Add(c.after)).fault(unknown, noon); (fault == "") != c.unknown {
			t.Errorf("subject %d unknown %v after noon: %q, want right %v", c.number, c.after, fault, c.unknown)
		}
		red := said{Issuer: "a", Status: scanedge.Red, Offset: 1}
		if fault := s.settle(w, red, noon).fault(red, noon); fault != `status "red"` {
			t.Errorf("red: %q", fault)
		}
	}
}

// An answer from before an offset that was acknowledged long ago must be marked.
func TestOldAnswersMustBeMarked(t *testing.T) {
	s := pushedSubjects(2)
	s.marks[0][0].at = time.Now().Add(-shownWithin - time.Second)
	s.marks[0][1].at = time.Now()
	if err := s.pushTick(context.Background(), 0, "a", 2); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		said said
		late bool
	}{
		{said{Issuer: "a", Offset: 9}, true}, {said{Issuer: "a", Offset: 9, Stale: true}, false}, {said{Issuer: "a", Offset: 10}, false},
	} {
		if got := s.late(c.said); (got != "") != c.late {
			t.Errorf("%+v: %q, want late %v", c.said, got, c.late)
		}
	}
}

// The ticks register and change exactly what was planned, each subject with its issuer.
func TestTicksPushWhatWasPlanned(t *testing.T) {
	p := Population{[]string{"a", "b", "c"}, 1000}
	s := NewSubjects(1, &Scenario{Growth: 1, Changes: 30}, p, 10*time.Second, nil)
	registered, changes := map[string]bool{}, 0
	for b := range s.ticks {
		for k := range p.Issuers {
			for _, d := range s.due(k, b) {
				if strings.HasPrefix(d.Subject, "day-1-r") {
					registered[d.Subject] = true
				} else {
					changes++
				}
			}
		}
	}
	if len(registered) != 10 || changes != 300 {
		t.Errorf("%d registered, %d changes", len(registered), changes)
	}
}

func TestSubjectsThatCanNotBePushed(t *testing.T) {
	s := NewSubjects(1, &Scenario{Changes: 10}, Population{[]string{"a"}, 1}, time.Second,
		func(context.Context, string, []scanedge.Delta) (scanedge.Receipt, error) {
			return scanedge.Receipt{}, errors.New("no")
		})
	if s.Settle(t.Context(), nil) || len(s.Reasons()) != 1 || !strings.Contains(s.Reasons()[0], "could not be set: no") {
		t.Errorf("%q", s.Reasons())
	}
	s.why = ""
	s.Push(t.Context(), make(chan struct{}))
	if len(s.Reasons()) != 1 || !strings.Contains(s.Reasons()[0], "could not be pushed: no") {
		t.Errorf("%q", s.Reasons())
	}
	s.why = ""
	if s.Remove(t.Context()); len(s.Reasons()) != 1 || !strings.Contains(s.Reasons()[0], "could not be removed: no") {
		t.Errorf("%q", s.Reasons())
	}
}
