package chat

import "context"

// Critical is a room that hears only what is critical. The rest is taken and dropped.
type Critical struct{ Room }

// Say passes on what is critical.
func (c Critical) Say(ctx context.Context, m Message) error {
	if !m.Critical {
		return nil
	}
	return c.Room.Say(ctx, m)
}
