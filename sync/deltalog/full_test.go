package deltalog

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

func TestAServersWordsForFull(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want bool
	}{
		{&jetstream.APIError{ErrorCode: 10023, Description: "insufficient resources"}, true},
		{&jetstream.APIError{ErrorCode: 10002, Description: "resource limits exceeded for account"}, true},
		{&jetstream.APIError{ErrorCode: 10047, Description: "insufficient storage resources available"}, true},
		{&jetstream.APIError{ErrorCode: 10077, Description: "maximum bytes exceeded"}, true},
		{&jetstream.APIError{ErrorCode: 10051, Description: "write 1.blk: no space left on device"}, true},
		{&jetstream.APIError{ErrorCode: 10071, Description: "wrong last sequence: 1"}, false},
		{errors.New("timeout"), false},
		{nil, false},
	} {
		got := full(tc.err)
		if errors.Is(got, ErrFull) != tc.want || !errors.Is(got, tc.err) {
			t.Errorf("%v became %v", tc.err, got)
		}
	}
}
