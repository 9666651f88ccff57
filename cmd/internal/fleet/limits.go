package fleet

import "path/filepath"

// strictLimits is the limits file that the fleet's edges get if Config asks for limits: small, so that they show.
const strictLimits = `# How fast one may scan at the edges of this fleet, written by scanedge up --limits at each start: strict, so that limits show.
# A file of your own goes to scanedge edge --limits; docs/operating.md says what each line means.
keys:
  rate: 100
  burst: 200
  guard: {forgiven: 0.5, slow_after: 20, slow_to: 10, lock_after: 50, lock_for: 5s}
addresses:
  rate: 20
  burst: 100
  guard: {forgiven: 0.5, slow_after: 10, lock_after: 30, lock_for: 5s}
holders:
  rate: 1
  burst: 20
`

// limits are the flags by which an edge is limited.
func (f *Fleet) limits() ([]string, error) {
	if !f.cfg.Limits {
		return nil, nil
	}
	path := filepath.Join(f.cfg.Dir, "limits.yaml")
	return []string{"--limits", path}, replaceFile(path, []byte(strictLimits))
}
