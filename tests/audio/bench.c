/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sound on the bench: see bench.h. */
#include "tests/audio/bench.h"

#include "engine/machine/machine.h"
#include "engine/options/keyvals.h"

#include <glib/gstdio.h>

static const Bench *by_hand; /* for a function that has nothing else */

static int64_t
now_by_hand (void)
{
  return vm_clock_now (by_hand->machine->env.clocks, VM_CLOCK_VIRTUAL);
}

VmEnv *
bench_env (Bench *bench)
{
  return &bench->machine->env;
}

void
bench_init (Bench *bench, bool manual)
{
  VmEnv *env;

  *bench = (Bench){ .machine = g_new0 (VmMachine, 1), .manual = manual };
  bench->dir = g_dir_make_tmp ("test-audio-XXXXXX", NULL);
  bench->lock = vm_lock_new ();
  bench->entered = vm_lock_enter (bench->lock);
  env = bench_env (bench);
  env->loop = vm_loop_new ("test", bench->lock);
  env->clocks = vm_clocks_new (env->loop);
  if (manual)
    vm_clocks_set_manual (env->clocks, true);
  vm_clocks_set_running (env->clocks, true);
  env->root = vm_object_new (&vm_container_type);
  by_hand = bench;
  if (manual)
    vm_audio_get (env)->now_ns = now_by_hand;
}

void
bench_clear (Bench *bench)
{
  VmEnv *env = bench_env (bench);

  vm_audio_card_detach (&bench->card);
  vm_object_unref (env->root);
  vm_clocks_free (env->clocks);
  vm_lock_leave (bench->lock, bench->entered);
  vm_loop_free (env->loop);
  vm_lock_free (bench->lock);
  g_free (bench->machine);
  g_rmdir (bench->dir);
  g_free (bench->dir);
}

char *
bench_path (Bench *bench, const char *name)
{
  return g_build_filename (bench->dir, name, NULL);
}

VmAudiodev *
bench_try (Bench *bench, const char *text, GError **error)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();
  g_auto (GStrv) parts = g_strsplit (text, "%", -1);
  g_autofree char *whole = g_strjoinv (bench->dir, parts);

  return vm_keyvals_parse (list, whole, "driver", VM_KEYVALS_STRICT, error)
             ? vm_audiodev_new_from_list (bench->machine, list, false, error)
             : NULL;
}

VmAudiodev *
bench_add (Bench *bench, const char *text)
{
  g_autoptr (GError) error = NULL;
  VmAudiodev *dev = bench_try (bench, text, &error);

  g_assert_no_error (error);
  g_assert_nonnull (dev);
  vm_audio_card_detach (&bench->card);
  bench->card.audiodev = dev->parent.id;
  g_assert_true (vm_audio_card_attach (&bench->card, bench_env (bench), bench_env (bench)->root, "card", &error));
  return dev;
}

void
bench_refuse (Bench *bench, const char *text, const char *why)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (bench_try (bench, text, &error));
  g_assert_nonnull (error);
  if (!strstr (error->message, why))
    g_error ("%s: \"%s\" is not in \"%s\"", text, why, error->message);
}

void
bench_advance (Bench *bench, int64_t ns)
{
  VmClocks *clocks = bench_env (bench)->clocks;

  vm_clocks_advance_to (clocks, vm_clock_now (clocks, VM_CLOCK_VIRTUAL) + ns);
}

void
bench_run (Bench *bench, int64_t ns)
{
  gint64 end = g_get_monotonic_time () + ns / VM_NS_PER_US;

  while (g_get_monotonic_time () < end)
    if (!vm_loop_iterate (bench_env (bench)->loop, false))
      {
        vm_lock_leave (bench->lock, true);
        g_usleep (500);
        vm_lock_enter (bench->lock);
      }
}
