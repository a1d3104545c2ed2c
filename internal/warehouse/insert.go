package warehouse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/jackc/puddle/v2"
)

// inserts are the connections of Insert. They are others than those of Conn, since the driver of those copies every column
// twice before it sends it, which is a tenth of all that ingestion does.
type inserts = puddle.Pool[*insertConn]

// insertConn is one of them.
type insertConn struct {
	*ch.Client
	conn *lingeringConn
}

func (c *Client) newInserts() (*inserts, error) {
	return puddle.NewPool(&puddle.Config[*insertConn]{
		Constructor: c.dialInsert,
		Destructor:  func(conn *insertConn) { _ = conn.conn.Close() },
		MaxSize:     int32(c.cfg.MaxOpenConns),
	})
}

// dialInsert connects to the first address that answers.
func (c *Client) dialInsert(ctx context.Context) (*insertConn, error) {
	// ReadTimeout is for a whole greeting, too. Within an insert nothing ends by it: then the client looks whether ctx has ended.
	options := ch.Options{Database: c.cfg.Database, User: c.cfg.Username, Password: c.cfg.Password, HandshakeTimeout: c.cfg.DialTimeout, ReadTimeout: c.cfg.DialTimeout}
	if !allLoopback(c.cfg.Addr) {
		options.Compression = ch.CompressionLZ4
	}
	var failed error
	for _, addr := range c.cfg.Addr {
		conn, err := c.dial(ctx, addr)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		client, err := ch.Connect(ctx, conn, options) // closes the connection itself when its time is over
		if err == nil {
			return &insertConn{client, conn}, nil
		}
		_ = conn.Close()
		failed = errors.Join(failed, fmt.Errorf("greeting %s: %w", addr, err))
	}
	return nil, failed
}

// maxInsertConnAge bounds how long a connection is used, so that addresses which have changed are noticed.
const maxInsertConnAge = time.Hour

// giveUpTime is how much longer than its client an insert may run on the server.
const giveUpTime = 5 * time.Second

// Insert is an insert of ingestion: it sends the columns as one block under a token, at a moment at which ClickHouse has all
// views behind the table, and waits for the answer. The columns must not change until it returns. An error says nothing
// about what was written: the table may have the rows, and each rollup behind it may have them too or not.
func (c *Client) Insert(ctx context.Context, table string, columns proto.Input, token string) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.ReadTimeout)
	defer cancel()
	conn, err := whileViewsStand(ctx, c, table, c.acquireInsert, (*puddle.Resource[*insertConn]).ReleaseUnused)
	if err != nil {
		return insertError(ctx, err)
	}
	query := ch.Query{Body: "INSERT INTO " + table + " " + columns.Columns() + " VALUES", Input: columns}
	settings := InsertSettings(token)
	// An insert that was given up ends on the server too, soon: others rely on that (see settleTime in package ingest).
	deadline, _ := ctx.Deadline()
	settings["max_execution_time"] = int((time.Until(deadline) + giveUpTime).Seconds())
	for key, value := range settings {
		query.Settings = append(query.Settings, ch.Setting{Key: key, Value: fmt.Sprint(value), Important: true})
	}
	// The client looks at ctx between packets only.
	stop := context.AfterFunc(ctx, func() { _ = conn.Value().conn.Close() })
	err = conn.Value().Do(ctx, query)
	if !stop() || err != nil {
		// Also after an exception: the client may hold what it had no time to send, and would send it before the next insert.
		conn.Destroy()
	} else {
		conn.Release()
	}
	return insertError(ctx, err)
}

// acquireInsert gives a connection that is not too old, and that the server has not closed meanwhile.
func (c *Client) acquireInsert(ctx context.Context) (*puddle.Resource[*insertConn], error) {
	for {
		conn, err := c.inserts.Acquire(ctx)
		if err != nil || time.Since(conn.CreationTime()) < maxInsertConnAge && conn.Value().conn.silent() {
			return conn, err
		}
		conn.Destroy()
	}
}

// insertError gives an error of an insert the form that errors of Conn have: an exception is the server's word, and what
// else comes when ctx has ended comes of that.
func insertError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := ch.AsException(err); ok {
		return &clickhouse.Exception{Code: int32(e.Code), Name: e.Name, Message: e.Message, StackTrace: e.Stack}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return err
}
