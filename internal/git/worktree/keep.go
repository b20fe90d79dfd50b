package worktree

import (
	"bytes"
)

// keep carries over the entries before a path (nil = all the rest), which are the same in both trees, and puts back
// edited ones.
func (m *mover) keep(until []byte) error {
	for m.next != nil && (until == nil || bytes.Compare(m.next.path, until) < 0) {
		err := m.keepOne(m.next)
		if err == nil {
			err = m.forward(until)
		}
		if err == nil {
			m.next, err = m.before.next()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// forward carries over what was not touched up to a path, or to the next one that was, without looking at each entry.
func (m *mover) forward(until []byte) error {
	if !m.looked {
		return nil
	}
	if next := m.index.after(m.next.path); next != nil && (until == nil || bytes.Compare(until, next) > 0) {
		until = next
	}
	return m.before.skip(until, m.out.stretch)
}

func (m *mover) keepOne(e *indexEntry) error {
	if m.looked && !m.index.isTouched(e.path) {
		return m.out.copy(e)
	}
	now, err := m.ensure(wanted{path: e.path, mode: e.mode, id: e.id, tracked: true, compare: true, restore: true})
	if err != nil {
		return err
	}
	if err := m.out.add(e.path, e.mode, &e.id, &now); err != nil {
		return err
	}
	return m.step()
}
