# make install, again (an upgrade), and uninstall, below DESTDIR: what is there, what is the
# operator's and stays.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;

my $dest = tmp('dest');
my $conf = "$dest/etc/pasgate/pasgate.conf";
my $doc  = 'usr/local/share/doc/pasgate/examples';

sub make
{
    my ($target, @more) = @_;
    # Of the build that is tested, without making it anew.
    my ($code, $said) = run_cmd('make', '-s', '-o', 'all', $target, "DESTDIR=$dest", 'B=' . ($ENV{TOOLS} // 'build'), @more);
    is $code, 0, "make $target" or diag $said;
    return $said;
}

sub files
{
    my (undef, $list) = run_cmd('find', $dest, '!', '-type', 'd');
    return sort map { s/^\Q$dest\E\///r } split /\n/, $list;
}

make('install');
my @installed = files();
is_deeply \@installed, [sort qw(etc/pasgate/pasgate.conf usr/local/sbin/pasgate
  usr/local/share/man/man8/pasgate.8 usr/local/share/man/man5/pasgate.conf.5
  usr/lib/sysusers.d/pasgate.conf usr/lib/systemd/system/pasgate.service
  usr/lib/systemd/system/pasgate-ready@.service), map { "$doc/$_" } qw(pasgate.conf minimal.conf pas.service.drop-in)],
  'all of it';
is +(run_cmd("$dest/usr/local/sbin/pasgate", 'check', '-c', $conf))[0], 0, 'the program takes the configuration';
is PasGate::slurp($conf), PasGate::slurp('etc/pasgate.conf'), 'which is the example';
like PasGate::slurp("$dest/usr/lib/systemd/system/pasgate.service"), qr{/usr/local/sbin/pasgate}, 'the unit names the program';

spew($conf, "workers = 3;\n");
spew("$dest/usr/local/sbin/pasgate", 'of before');
my $said = make('install');
is PasGate::slurp($conf), "workers = 3;\n", 'an upgrade leaves the configuration alone';
like $said, qr/pasgate\.conf is there: left as it is/, 'and says so';
cmp_ok -s "$dest/usr/local/sbin/pasgate", '>', 100_000, 'the program is new';
is_deeply [files()], \@installed, 'nothing else came';

unlink $conf;
symlink '/nowhere/pasgate.conf', $conf or die $!;
make('install');
is readlink $conf, '/nowhere/pasgate.conf', 'nor is a link followed or replaced, wherever it leads';

make('uninstall');
is_deeply [files()], ['etc/pasgate/pasgate.conf'], 'uninstalled: the configuration is left';

make('install', 'prefix=/usr');
like PasGate::slurp("$dest/usr/lib/systemd/system/pasgate.service"), qr{=/usr/sbin/pasgate}, 'another prefix';
make('uninstall', 'prefix=/usr');
is_deeply [files()], ['etc/pasgate/pasgate.conf'], 'likewise';

done_testing;
