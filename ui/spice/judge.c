/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a viewer says to the library, as far as that takes it amiss: libspice-server (0.15.1) ends the program for
 * messages out of turn, and for viewers that go before a display channel has had its first word. The link stage and
 * headers are those of spice/protocol.h. */
#include "ui/spice/server-private.h"

#include <spice/enums.h>
#include <spice/protocol.h>

#define LINK_MAX 4096 /* bytes of a link message */
#define FIRST_MAX 256 /* of what a display channel begins with */

typedef enum Stage
{
  HELLO,
  LINK,
  MECHANISM,
  TICKET,
  HEADER,
  BODY,   /* of a message that is looked at */
  UNSEEN, /* nobody here understands it */
  DEAF    /* the library hangs up */
} Stage;

struct SpiceJudge
{
  const int *migrating; /* atomic */
  Stage stage;
  GByteArray *held; /* until all NEED bytes are there */
  size_t need;
  uint32_t pass, skip; /* bytes to come that go on, or do not */
  bool choose_mechanism, short_headers, begun;
  uint8_t channel;
};

SpiceJudge *
spice_judge_new (const int *migrating)
{
  SpiceJudge *j = g_new0 (SpiceJudge, 1);

  j->migrating = migrating;
  j->held = g_byte_array_new ();
  j->need = sizeof (SpiceLinkHeader);
  return j;
}

void
spice_judge_free (SpiceJudge *j)
{
  g_byte_array_unref (j->held);
  g_free (j);
}

static size_t
header_size (const SpiceJudge *j)
{
  return j->short_headers ? sizeof (SpiceMiniDataHeader) : sizeof (SpiceDataHeader);
}

static void
await (SpiceJudge *j, Stage stage, size_t need)
{
  j->stage = stage;
  j->need = need;
}

static void
let_go (SpiceJudge *j, GByteArray *out)
{
  g_byte_array_append (out, j->held->data, j->held->len);
  g_byte_array_set_size (j->held, 0);
}

/* --- logging in -------------------------------------------------------------------------------------------------- */

static void
read_hello (SpiceJudge *j, GByteArray *out)
{
  SpiceLinkHeader header;

  memcpy (&header, j->held->data, sizeof header);
  let_go (j, out);
  if (header.magic != SPICE_MAGIC || header.size < sizeof (SpiceLinkMess) || header.size > LINK_MAX)
    j->stage = DEAF;
  else
    await (j, LINK, header.size);
}

/* The library knows all three of these capabilities, so that the client's word counts. */
static void
read_link (SpiceJudge *j, GByteArray *out)
{
  SpiceLinkMess link;
  uint32_t common = 0;

  memcpy (&link, j->held->data, sizeof link);
  if (link.num_common_caps && link.caps_offset <= j->held->len - sizeof common)
    memcpy (&common, j->held->data + link.caps_offset, sizeof common);
  j->channel = link.channel_type;
  j->short_headers = common & 1u << SPICE_COMMON_CAP_MINI_HEADER;
  let_go (j, out);
  if (common & 1u << SPICE_COMMON_CAP_PROTOCOL_AUTH_SELECTION)
    await (j, MECHANISM, sizeof (SpiceLinkAuthMechanism));
  else
    await (j, TICKET, sizeof (SpiceLinkEncryptedTicket));
}

/* What follows SASL may be sealed by that. */
static void
read_mechanism (SpiceJudge *j, GByteArray *out)
{
  SpiceLinkAuthMechanism chosen;

  memcpy (&chosen, j->held->data, sizeof chosen);
  let_go (j, out);
  if (chosen.auth_mechanism == SPICE_COMMON_CAP_AUTH_SPICE)
    await (j, TICKET, sizeof (SpiceLinkEncryptedTicket));
  else
    j->stage = chosen.auth_mechanism == SPICE_COMMON_CAP_AUTH_SASL ? UNSEEN : DEAF;
}

/* --- messages ---------------------------------------------------------------------------------------------------- */

static bool
is_of_migration (const SpiceJudge *j, uint16_t type)
{
  if (type == SPICE_MSGC_MIGRATE_FLUSH_MARK || type == SPICE_MSGC_MIGRATE_DATA)
    return true;
  return j->channel == SPICE_CHANNEL_MAIN
         && (type == SPICE_MSGC_MAIN_MIGRATE_CONNECTED || type == SPICE_MSGC_MAIN_MIGRATE_CONNECT_ERROR
             || type == SPICE_MSGC_MAIN_MIGRATE_END || type == SPICE_MSGC_MAIN_MIGRATE_DST_DO_SEAMLESS
             || type == SPICE_MSGC_MAIN_MIGRATE_CONNECTED_SEAMLESS);
}

static SpiceDataHeader
held_header (const SpiceJudge *j)
{
  SpiceDataHeader header = { 0 };
  SpiceMiniDataHeader mini;

  if (!j->short_headers)
    memcpy (&header, j->held->data, sizeof header);
  else
    {
      memcpy (&mini, j->held->data, sizeof mini);
      header.type = mini.type;
      header.size = mini.size;
    }
  return header;
}

static bool
read_header (SpiceJudge *j, GByteArray *out)
{
  const SpiceDataHeader header = held_header (j);
  bool is_main = j->channel == SPICE_CHANNEL_MAIN;

  /* Nobody sends messages inside of messages. */
  if (header.sub_list || (is_of_migration (j, header.type) && !g_atomic_int_get (j->migrating)))
    return false;
  if (is_main && header.type == SPICE_MSGC_MAIN_AGENT_TOKEN)
    {
      g_byte_array_set_size (j->held, 0);
      j->skip = header.size;
    }
  else if (is_main && header.type == SPICE_MSGC_MAIN_AGENT_START && header.size == sizeof (uint32_t))
    await (j, BODY, j->held->len + header.size);
  else if (j->channel == SPICE_CHANNEL_DISPLAY && !j->begun)
    { /* whole, so that there can still be a first word when the client goes */
      if (header.size > FIRST_MAX || (header.type > SPICE_MSG_BASE_LAST && header.type != SPICE_MSGC_DISPLAY_INIT))
        return false;
      await (j, BODY, j->held->len + header.size);
    }
  else
    {
      let_go (j, out);
      j->pass = header.size;
    }
  return true;
}

/* A client gives the agent tokens, one a message: some at its start, more as it reads. The library does not survive
 * those that come while there is no agent, as they may at any time when that goes; so they are all given at the start.
 */
static void
read_body (SpiceJudge *j, GByteArray *out)
{
  if (j->channel == SPICE_CHANNEL_MAIN)
    memset (j->held->data + header_size (j), 0xff, sizeof (uint32_t));
  else
    j->begun = held_header (j).type == SPICE_MSGC_DISPLAY_INIT;
  let_go (j, out);
  await (j, HEADER, header_size (j));
}

static bool
step (SpiceJudge *j, GByteArray *out)
{
  switch (j->stage)
    {
    case HELLO:
      read_hello (j, out);
      return true;
    case LINK:
      read_link (j, out);
      return true;
    case MECHANISM:
      read_mechanism (j, out);
      return true;
    case TICKET:
      let_go (j, out);
      await (j, HEADER, header_size (j));
      return true;
    case HEADER:
      return read_header (j, out);
    default:
      read_body (j, out);
      return true;
    }
}

bool
spice_judge_hear (SpiceJudge *j, const uint8_t *bytes, size_t len, GByteArray *out)
{
  while (len)
    {
      size_t n = len;

      if (j->stage == UNSEEN)
        g_byte_array_append (out, bytes, (guint) n);
      else if (j->skip)
        j->skip -= (uint32_t) (n = MIN (n, j->skip));
      else if (j->pass)
        {
          j->pass -= (uint32_t) (n = MIN (n, j->pass));
          g_byte_array_append (out, bytes, (guint) n);
        }
      else if (j->stage != DEAF)
        {
          n = MIN (n, j->need - j->held->len);
          g_byte_array_append (j->held, bytes, (guint) n);
          while (j->held->len && j->held->len == j->need)
            if (!step (j, out))
              return false;
        }
      bytes += n;
      len -= n;
    }
  return true;
}

bool
spice_judge_waits (const SpiceJudge *j)
{
  return j->channel == SPICE_CHANNEL_DISPLAY && (j->stage == HEADER || j->stage == BODY) && !j->begun;
}

void
spice_judge_end (SpiceJudge *j, GByteArray *out)
{
  const uint8_t nothing[14] = { 0 }; /* no cache, no dictionary */
  const SpiceMiniDataHeader mini = { SPICE_MSGC_DISPLAY_INIT, sizeof nothing };
  const SpiceDataHeader whole = { .serial = 1, .type = SPICE_MSGC_DISPLAY_INIT, .size = sizeof nothing };

  if (!spice_judge_waits (j))
    return;
  g_byte_array_append (out, j->short_headers ? (const uint8_t *) &mini : (const uint8_t *) &whole,
                       (guint) header_size (j));
  g_byte_array_append (out, nothing, sizeof nothing);
  j->stage = DEAF;
}
