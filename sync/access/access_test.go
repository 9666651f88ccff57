package access

import (
	"encoding/json"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSet(t *testing.T) {
	s := Set{HashOf([]byte("secret")): "gate"}
	if name, ok := s.Name([]byte("secret")); !ok || name != "gate" {
		t.Errorf("%q, %v", name, ok)
	}
	for _, wrong := range []string{"", "Secret", "secret ", "secre"} {
		if _, ok := s.Name([]byte(wrong)); ok {
			t.Errorf("%q opens the door", wrong)
		}
	}
	text, err := json.Marshal(s)
	if err != nil || strings.Contains(string(text), "secret") {
		t.Fatalf("%s, %v", text, err)
	}
	var back Set
	if err := json.Unmarshal(text, &back); err != nil || len(back) != 1 {
		t.Fatal(err)
	}
	if _, ok := back.Name([]byte("secret")); !ok {
		t.Error("the set does not survive its JSON")
	}
	token := []byte("secret")
	if n := testing.AllocsPerRun(100, func() { s.Name(token) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
