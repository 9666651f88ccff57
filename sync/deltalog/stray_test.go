package deltalog

import (
	"errors"
	"testing"
)

// Who may ask a server things may say where the answer is to go: into a log, too. That is nobody's record: the writer's next append
// fails once, for the end has moved, and it, its next start and all readers go on.
func TestAnAnswerInTheLogIsPassedOver(t *testing.T) {
	s, _ := startServer(t, t.TempDir())
	l := writerLog(t, s)
	if err := l.Append(t.Context(), 0, []byte("one")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := l.conn.nc.PublishRequest("$JS.API.INFO", l.subject("batch"), nil); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func() error {
		if last, err := l.Last(t.Context()); err != nil || last != 4 {
			return errors.Join(err, errors.New("the answers are not in the log"))
		}
		return nil
	})
	if err := l.Append(t.Context(), 1, []byte("two")); err == nil {
		t.Error("an append took a moved end for its own")
	}
	got, last := replayed(t, l, 0)
	if len(got) != 1 || string(got[0].Record) != "one" || last != 4 {
		t.Fatalf("%d records up to %d", len(got), last)
	}
	if err := l.Append(t.Context(), last, []byte("two")); err != nil {
		t.Fatal(err)
	}
	got, _ = replayed(t, l, 0)
	if len(got) != 2 || string(got[0].Record) != "one" || string(got[1].Record) != "two" {
		t.Errorf("%d records", len(got))
	}
}
