package main

import "testing"

func TestByteSize(t *testing.T) {
	for text, want := range map[string]byteSize{"0": 0, "1024": 1024, "64KiB": 64 << 10, "1.5GiB": 3 << 29, "12 GiB": 12 << 30, "2TiB": 2 << 40, "7B": 7} {
		var got byteSize
		if err := got.Set(text); err != nil || got != want {
			t.Errorf("%q is %d, %v", text, got, err)
		}
		var again byteSize
		if err := again.Set(got.String()); err != nil || again != got {
			t.Errorf("%q is written %q", text, got)
		}
	}
	for _, text := range []string{"", "x", "-1", "1GB", "GiB", "NaN", "9e30", "1e9TiB"} {
		var got byteSize
		if err := got.Set(text); err == nil {
			t.Errorf("%q is taken for %d", text, got)
		}
	}
}
