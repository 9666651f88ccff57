package issuer

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// Code keys count from 1 to 255 and from 1 again; the newest and the one before are known, each once, until the old one is dropped.
func TestCodeKeys(t *testing.T) {
	s, err := Create(filepath.Join(t.TempDir(), "a.json"), "a", DefaultPolicy(), Given{})
	if err != nil {
		t.Fatal(err)
	}
	seen, before := map[string]bool{}, s.CodeKeys()[0]
	if before.ID != 1 || len(before.Key) != 32 || len(s.CodeKeys()) != 1 {
		t.Fatalf("the first key: %+v", s.CodeKeys())
	}
	for i := 2; i <= 300; i++ {
		if err := s.Settle(s.Policy(), Rekey{New: true}); err != nil {
			t.Fatal(err)
		}
		keys := s.CodeKeys()
		if len(keys) != 2 || int(keys[0].ID) != (i-1)%255+1 || keys[0].ID == 0 || len(keys[0].Key) != 32 || !reflect.DeepEqual(keys[1], before) {
			t.Fatalf("after %d keys: %+v", i, keys)
		}
		if before = keys[0]; seen[string(before.Key)] {
			t.Fatalf("key %d was there before", i)
		}
		seen[string(before.Key)] = true
	}
	for _, c := range []struct {
		do    Rekey
		count int
		fresh bool
	}{{Rekey{}, 2, false}, {Rekey{DropOld: true}, 1, false}, {Rekey{DropOld: true}, 1, false}, {Rekey{New: true}, 2, true}, {Rekey{New: true, DropOld: true}, 1, true}} {
		if err := s.Settle(s.Policy(), c.do); err != nil {
			t.Fatal(err)
		}
		keys := s.CodeKeys()
		if len(keys) != c.count || c.fresh == reflect.DeepEqual(keys[0], before) {
			t.Errorf("%+v: %+v after %+v", c.do, keys, before)
		}
		before = keys[0]
	}
}

// An edge hears of keys and window; an origin of an earlier build tells of neither.
func TestWhatEdgesAreToldOfCodes(t *testing.T) {
	s, err := Create(filepath.Join(t.TempDir(), "a.json"), "a", DefaultPolicy(), Given{})
	if err == nil {
		p := s.Policy()
		p.CodeWindowSteps = 0
		err = s.Settle(p, Rekey{New: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal([]Public{s.Public()})
	if err != nil {
		t.Fatal(err)
	}
	var told []Public
	if err := json.Unmarshal(text, &told); err != nil || !reflect.DeepEqual(told[0], s.Public()) || told[0].CodeWindowSteps != 0 || len(told[0].CodeKeys) != 2 {
		t.Errorf("%s: %+v, %v", text, told, err)
	}
	if err := json.Unmarshal([]byte(`[{"issuer":"a","plain":true}]`), &told); err != nil || told[0].ID != "a" || !told[0].Plain ||
		told[0].CodeWindowSteps != 1 || len(told[0].CodeKeys) != 0 {
		t.Errorf("of an earlier build: %+v, %v", told, err)
	}
}

func TestWhatNoCodeKeysCanBe(t *testing.T) {
	key := func(id uint8, size int) CodeKey { return CodeKey{id, make([]byte, size)} }
	for _, c := range []struct {
		want string
		keys []CodeKey
	}{
		{"", nil}, {"", []CodeKey{key(255, 32)}}, {"", []CodeKey{key(1, 32), key(255, 32)}},
		{"3 code_keys", []CodeKey{key(3, 32), key(2, 32), key(1, 32)}}, {"ids of their own", []CodeKey{key(1, 32), key(1, 32)}},
		{"no id", []CodeKey{key(0, 32)}}, {"has 31 bytes", []CodeKey{key(2, 32), key(1, 31)}},
	} {
		if err := checkCodeKeys(c.keys); (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.keys, err)
		}
	}
}
