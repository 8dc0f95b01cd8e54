#!/usr/bin/perl
# pasgate check: each file of t/conf/bad gives just the messages that its "#!" lines tell, in
# that order, and exit code 78; those of t/conf/good and etc are good; the dump is a complete
# file that reads back to itself; and the manual page is the one that the table makes.
#
# "#! 3: what" is expected as "FILE:3: what", "#! inner.inc:3: what" for an included file,
# and "#! -: what" as "FILE: what".
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use Test::More;

chdir dirname(abs_path($0)) . '/..' or die "chdir: $!";
my $pasgate = $ENV{PASGATE} || 'build/pasgate';
-x $pasgate or BAIL_OUT("$pasgate is not there: make it, or set PASGATE");
my $dir     = tempdir(CLEANUP => 1);
$ENV{PASGATE_T_ADDRESS} = 'oops';
delete @ENV{qw(PASGATE_T_UNSET DOMAIN EMAIL)};

sub slurp
{
    my ($file) = @_;
    open my $in, '<:raw', $file or die "$file: $!";
    local $/;
    return scalar <$in>;
}

# Runs pasgate; returns the exit code and both outputs.
sub pasgate
{
    my @args = @_;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDOUT, '>', "$dir/out" or die;
        open STDERR, '>', "$dir/err" or die;
        exec $pasgate, @args or die "$pasgate: $!";
    }
    waitpid $pid, 0;
    return ($? & 127 ? "signal $?" : $? >> 8, slurp("$dir/out"), slurp("$dir/err"));
}

sub spew
{
    my ($file, $text) = @_;
    open my $out, '>:raw', $file or die "$file: $!";
    print $out $text;
    close $out or die "$file: $!";
}

# What the "#!" lines of a file stand for. HERE is its folder.
sub expected
{
    my ($file) = @_;
    my $here = dirname($file);
    my @want;
    for (slurp($file) =~ /^#! (.*)$/mg) {
        s/^(\d+): /$file:$1: / or s/^-: /$file: / or s/^/$here\//;
        s/HERE/$here/g;
        push @want, $_;
    }
    return join '', map {"$_\n"} @want;
}

for my $file (sort glob 't/conf/bad/*.conf') {
    my $path = abs_path($file);
    my ($code, $out, $err) = pasgate('check', '-c', $path);
    is($code, 78, "$file: exit code 78");
    is($err, expected($path), "$file: every message, in order");
}

for my $file (sort glob 't/conf/good/*.conf etc/*.conf') {
    my ($code, $out, $err) = pasgate('check', '-c', $file);
    is("$code $err", '0 ', "$file: is good");
    is(($out =~ tr/\n//), 1, "$file: and one line says so");

    ($code, my $dump) = pasgate('check', '--dump', '-c', $file);
    is($code, 0, "$file: can be dumped");
    spew("$dir/dump.conf", $dump);
    ($code, my $again, $err) = pasgate('check', '--dump', '-c', "$dir/dump.conf");
    is("$code $err", '0 ', "$file: the dump is a good file");
    is($again, $dump, "$file: that reads back to itself");
}

{
    my ($code, $out, $err) = pasgate('check', '-c', "$dir/missing.conf");
    is($code, 78, 'a missing file: exit code 78');
    is($err, "cannot read $dir/missing.conf: No such file or directory\n", 'and why');

    spew("$dir/nul.conf", "workers = 1;\0\n");
    ($code, $out, $err) = pasgate('check', '-c', "$dir/nul.conf");
    is("$code $err", "78 $dir/nul.conf: $dir/nul.conf contains a NUL byte; write plain text\n",
        'a file with a NUL byte in it');

    spew("$dir/large.conf", "# a long line\n" x 80_000);
    ($code, $out, $err) = pasgate('check', '-c', "$dir/large.conf");
    is("$code $err", "78 cannot read $dir/large.conf: larger than 1 MiB\n", 'a huge file');

    my $good = slurp('etc/minimal.conf');
    $good =~ s/\n/\r\n/g;
    spew("$dir/windows.conf", "\xef\xbb\xbf$good");
    ($code, $out, $err) = pasgate('check', '-c', "$dir/windows.conf");
    is("$code $err", '0 ', 'a file as editors on Windows write it');

    # A line of the file that is wrong leaves its line number alone, whatever comes before.
    spew("$dir/part.inc", "workers = 1;\n" . "# more\n" x 50);
    spew("$dir/lines.conf", "\@include \"part.inc\"\n/*\n\n*/\n$good\nwrokers = 1;\n");
    ($code, $out, $err) = pasgate('check', '-c', "$dir/lines.conf");
    is($err, "$dir/lines.conf:10: unknown setting \"wrokers\"; did you mean \"workers\"?\n",
        'the right line after an include');

    # Of one mistake that is made everywhere, some are told.
    spew("$dir/alike.conf", "$good\n" . join '', map {"wrong$_ = \"x$_\";\n"} 1 .. 200);
    ($code, $out, $err) = pasgate('check', '-c', "$dir/alike.conf");
    is(($err =~ tr/\n//), 21, 'two hundred alike: twenty are told');
    like($err, qr/^and 180 more like it\n\z/m, 'and how many more there are');

    # What the environment brings must not hide where it is used.
    local $ENV{PASGATE_T_CR} = "127.0.0.1:80\r\e[2K\xc2\x9b1\x9b";
    spew("$dir/cr.conf", 'pools = ( { name = "p"; backends = "${PASGATE_T_CR}"; } );' . "\n");
    ($code, $out, $err) = pasgate('check', '-c', "$dir/cr.conf");
    like($err, qr/^\Q$dir\E\/cr\.conf:1: .*"127\.0\.0\.1:80\\x0d\\x1b\[2K\\xc2\\x9b1\\x9b"/m, 'control characters are escaped');
    unlike($err, qr/[^\x20-\x7e\n]/, 'and no other ones');

    spew("$dir/cert.pem", "x");
    spew("$dir/key.pem",  "x");
    spew("$dir/files.conf", 'certificates = ( { names = "a.example.com"; chain = "cert.pem"; '
            . 'key = "key.pem"; } ); pools = ( { name = "p"; backends = "h:1"; } );');
    spew("$dir/retry.conf", 'listen = ( { address = "*:80"; } ); pools = ( { name = "p"; backends = "h:1"; } ); routes = ( { path = "/"; pool = "p"; retry_on = [ "503", "timeout" ]; } );' . "\n");
    ($code, $out) = pasgate('check', '--dump', '-c', "$dir/retry.conf");
    like($out, qr/retry_on = \( "503", "timeout" \);/, 'the dump has retry_on');
    ($code, $out) = pasgate('check', '--dump', '-c', "$dir/files.conf");
    like($out, qr/chain = "\Q$dir\E\/cert\.pem";/, 'a relative file is in the folder of the config');
}

{
    local $ENV{DOMAIN} = 'shop.example.com';
    local $ENV{EMAIL}  = 'ops@example.com';
    my ($code, $out) = pasgate('check', '--dump', '-c', 'etc/minimal.conf');
    like($out, qr/names = \( "shop\.example\.com" \)/, 'the environment is used: the name');
    like($out, qr/email = "ops\@example\.com"/, 'and the address');
}

{
    my ($code, $out, $err) = pasgate('check', '--manual');
    is("$code $err", '0 ', 'the manual page is printed');
    ok($out eq slurp('etc/pasgate.conf.5'),
        "etc/pasgate.conf.5 is what the table says (pasgate check --manual >etc/pasgate.conf.5)");
}

done_testing();
