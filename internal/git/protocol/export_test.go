package protocol

import "time"

// SetPatience changes how long a kept connection may take to answer.
func (c *Client) SetPatience(d time.Duration) { c.patience = d }
