/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A viewer made of LibVNCClient: viewer HOST PORT ENCODINGS FILE [hands] writes what it has seen, as bytes R, G, B,
 * once nothing new has come for half a second. With hands: then it types the letter a, clicks, and asks for 800 x 600.
 */
#include <rfb/rfbclient.h>
#include <stdio.h>

static rfbBool
resize (rfbClient *client)
{
  free (client->frameBuffer);
  client->frameBuffer = calloc (4, (size_t) client->width * client->height);
  return client->frameBuffer != NULL;
}

/* For VeNCrypt without certificates of ours: nothing. */
static rfbCredential *
credential (rfbClient *client, int type)
{
  return calloc (1, sizeof (rfbCredential));
}

static int
write_picture (const rfbClient *client, const char *path)
{
  FILE *file = fopen (path, "wb");

  if (!file)
    return 1;
  for (size_t i = 0; i < (size_t) client->width * client->height; i++)
    {
      const uint8_t *p = client->frameBuffer + 4 * i;
      const uint8_t rgb[3] = { p[2], p[1], p[0] };
      fwrite (rgb, 1, 3, file);
    }
  return fclose (file);
}

static void
use_hands (rfbClient *client)
{
  SendKeyEvent (client, 'a', TRUE);
  SendKeyEvent (client, 'a', FALSE);
  SendPointerEvent (client, 100, 80, 0);
  SendPointerEvent (client, 100, 80, rfbButton1Mask);
  SendPointerEvent (client, 100, 80, 0);
  SendExtDesktopSize (client, 800, 600);
  while (WaitForMessage (client, 500000) > 0 && HandleRFBServerMessage (client))
    ;
}

int
main (int argc, char **argv)
{
  rfbClient *client = rfbGetClient (8, 3, 4);
  int ready;

  if (argc != 5 && argc != 6)
    return 2;
  client->MallocFrameBuffer = resize;
  client->GetCredential = credential;
  client->canHandleNewFBSize = TRUE;
  client->format.redShift = 16;
  client->format.greenShift = 8;
  client->format.blueShift = 0;
  client->appData.encodingsString = argv[3];
  client->appData.enableJPEG = FALSE;
  client->appData.qualityLevel = 9;
  client->serverHost = strdup (argv[1]);
  client->serverPort = atoi (argv[2]);
  if (!rfbInitClient (client, NULL, NULL))
    return 1;
  while ((ready = WaitForMessage (client, 500000)) > 0)
    if (!HandleRFBServerMessage (client))
      return 1;
  if (ready < 0 || write_picture (client, argv[4]))
    return 1;
  if (argc == 6)
    use_hands (client);
  return 0;
}
