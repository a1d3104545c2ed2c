package topics

import "context"

// Set changes a setting, as an administrator would.
func Set(ctx context.Context, a *Admin, topic string, s Setting) error { return a.set(ctx, topic, s) }
