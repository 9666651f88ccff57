package cache

import "testing"

// form is a way for arrays to lie in memory. The code above is the same, so each has every test of tables for itself: the race
// detector sees only what lies on the heap.
type form struct {
	name string
	use  func()
}

var forms = []form{{"heap", func() {}}}

// inForms runs a test in every form of this system.
func inForms(t *testing.T, test func(t *testing.T)) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			f.use()
			t.Cleanup(forms[0].use)
			test(t)
		})
	}
}
