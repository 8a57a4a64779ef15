-- Every column type of MariaDB with NULL, ordinary values and the ends of its range.
-- Run with the client program `mariadb`, as utf8mb4, in strict mode unless said otherwise.

CREATE TABLE integers (
  id int NOT NULL AUTO_INCREMENT PRIMARY KEY,
  t tinyint, tu tinyint unsigned, tz tinyint(3) unsigned zerofill, flag tinyint(1), b1 bool,
  s smallint, su smallint unsigned, sz smallint(7) unsigned zerofill,
  m mediumint, mu mediumint unsigned, mz mediumint(9) unsigned zerofill,
  i int, iu int unsigned, iz int(10) unsigned zerofill, i4 int(4),
  b bigint, bu bigint unsigned, bz bigint(20) unsigned zerofill,
  bit1 bit(1), bit8 bit(8), bit13 bit(13), bit64 bit(64)
);
INSERT INTO integers VALUES
  (1, -128, 0, 0, -128, 0, -32768, 0, 0, -8388608, 0, 0, -2147483648, 0, 0, 0,
   -9223372036854775808, 0, 0, b'0', b'0', b'0', 0),
  (2, 127, 255, 255, 2, 1, 32767, 65535, 65535, 8388607, 16777215, 16777215, 2147483647,
   4294967295, 4294967295, 12345, 9223372036854775807, 18446744073709551615,
   18446744073709551615, b'1', 255, 8191, 18446744073709551615),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
   NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (4, 1, 9, 9, 1, 0, 1, 9, 9, 1, 9, 9, 1, 9, 9, 9, 1, 9223372036854775808, 9, b'1', 10, 92, 9);
ALTER TABLE integers AUTO_INCREMENT = 77;

CREATE TABLE reals (
  id int PRIMARY KEY,
  d5 decimal(5,2), du decimal(12,4) unsigned, dz decimal(9,3) unsigned zerofill,
  d38 decimal(38,10), d65 decimal(65,30), d65i decimal(65,0), d0 decimal(30,30),
  f float, fu float unsigned, fm float(7,3), fz float zerofill,
  g double, gu double unsigned, gm double(10,2)
);
INSERT INTO reals VALUES
  (1, -999.99, 0, 0, -9999999999999999999999999999.9999999999,
   -99999999999999999999999999999999999.999999999999999999999999999999,
   -99999999999999999999999999999999999999999999999999999999999999999,
   -0.999999999999999999999999999999,
   -3.402823466e38, 0, -9999.999, 0, -1.7976931348623157e308, 0, -99999999.99),
  (2, 999.99, 99999999.9999, 999999.999, 9999999999999999999999999999.9999999999,
   99999999999999999999999999999999999.999999999999999999999999999999,
   99999999999999999999999999999999999999999999999999999999999999999,
   0.999999999999999999999999999999,
   3.402823466e38, 3.402823466e38, 9999.999, 16777217, 1.7976931348623157e308, 5e-324, 0.01),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (4, 0.10, 0.1, 1.5, 1e-10, 1e-30, 0, 0, 1.17549435e-38, 1.4e-45, 0.1, 0.1,
   0.30000000000000004, 0.1, 0.1),
  (5, 0, 0, 0, 0, 0, 0, 0, '-0', 0.3333333333, 0.001, 8388608, '-0', 123456789012345680, 0),
  (6, 0, 0, 0, 0, 0, 0, 0, 16777216, 16777215, 1234.567, 3, 9007199254740993, 2.2250738585072014e-308, 1);

SET STATEMENT sql_mode = 'ALLOW_INVALID_DATES' FOR CREATE TABLE moments (
  id int PRIMARY KEY,
  d date, y year, t0 time, t6 time(6), t2 time(2),
  dt datetime, dt3 datetime(3), dt6 datetime(6),
  ts timestamp NULL, ts6 timestamp(6) NULL
);
SET sql_mode = 'STRICT_ALL_TABLES,ALLOW_INVALID_DATES';
INSERT INTO moments VALUES
  (1, '0001-01-01', 1901, '-838:59:59', '-838:59:59.999999', '-00:00:00.01',
   '0001-01-01 00:00:00', '0001-01-01 00:00:00.001', '0001-01-01 00:00:00.000001',
   '1970-01-01 00:00:01', '1970-01-01 00:00:01.000001'),
  (2, '9999-12-31', 2155, '838:59:59', '838:59:59.999999', '24:00:00',
   '9999-12-31 23:59:59', '9999-12-31 23:59:59.999', '9999-12-31 23:59:59.999999',
   '2038-01-19 03:14:07', '2038-01-19 03:14:07.999999'),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (4, '2024-02-29', 0, '12:34:56', '12:34:56.7', '00:00:00', '2024-02-29 12:34:56',
   '2024-02-29 12:34:56.7', '2024-02-29 12:34:56.789012', '2024-03-31 01:30:00',
   '2024-10-27 01:30:00.5'),
  (5, '0000-00-00', 1970, '23:59:59', '23:59:59.999999', '-12:00:00', '0000-00-00 00:00:00',
   '0000-00-00 00:00:00', '0000-00-00 00:00:00', '0000-00-00 00:00:00', '0000-00-00 00:00:00'),
  (6, '2020-00-15', 2000, '100:00:00', '-00:00:00.000001', '-100:10:10.11',
   '2020-00-00 10:00:00', '2020-12-00 00:00:00.5', '0000-12-31 23:59:59.999999', NULL, NULL),
  (7, '2020-02-31', 2000, '24:00:01', '24:00:00', '0:0:1', '2020-02-31 10:00:00',
   '2021-02-29 00:00:00', '1900-02-29 00:00:00', NULL, NULL),
  (8, '1582-10-10', 2000, '0:0:0', '0:0:0', '0:0:0', '1582-10-10 00:00:00',
   '1582-10-05 00:00:00', '0000-01-01 00:00:00', NULL, NULL);
SET sql_mode = 'STRICT_ALL_TABLES';

CREATE TABLE texts (
  id int PRIMARY KEY,
  c char(10), c0 char(0), v varchar(40), tt tinytext, t text, mt mediumtext, lt longtext,
  n nchar(10), nv nvarchar(10), js json,
  e enum('a', 'B', 'it''s', 'x, y', 'ü☃', ''), st set('a', 'b c', 'it''s', 'ü'),
  e1 enum('x') CHARACTER SET latin1 NOT NULL DEFAULT 'x',
  u uuid, i4 inet4, i6 inet6
) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
INSERT INTO texts VALUES
  (1, '', '', '', '', '', '', '', '', '', '{}', 'a', '', 'x',
   '00000000-0000-0000-0000-000000000000', '0.0.0.0', '::'),
  (2, 'abc', '', 'trailing  ', '😀', 'a\0b', 'line\nbreak\r\n\t\\ \\N \'"`', REPEAT('é', 300000),
   'ñ', '日本', ' {"a" : 1.0, "a": 2, "b": 1e400,\n "é": "\\u0041"} ', 'it''s', 'a,it''s,ü', 'x',
   'ffffffff-ffff-ffff-ffff-ffffffffffff', '255.255.255.255',
   'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'x', NULL, NULL, NULL),
  (4, ' x', '', '\\N', 'NULL', '\Z', '"quoted", comma', '\\', 'a', 'b', '"text"', 'x, y', 'b c',
   'x', '123e4567-e89b-12d3-a456-426655440000', '10.0.0.1', '::ffff:192.0.2.1'),
  (5, 'ÀÉ', '', REPEAT('😀', 40), '', '\t', '\n', '\0', '', '', '[1, 2]', '', 'a,b c,it''s,ü', 'x',
   '6ba7b810-9dad-11d1-80b4-00c04fd430c8', '1.2.3.4', '2001:db8::1'),
  (6, 'x', NULL, 'y', 'z', '', '', '', '', '', 'null', 'ü☃', 'ü', 'x', NULL, NULL, NULL);
SET STATEMENT sql_mode = '' FOR UPDATE texts SET e1 = 'not a label' WHERE id = 6;

CREATE TABLE charsets (
  id int PRIMARY KEY,
  l1 varchar(300) CHARACTER SET latin1, l1b varchar(300) CHARACTER SET latin1 COLLATE latin1_bin,
  l2 varchar(20) CHARACTER SET latin2, ac varchar(20) CHARACTER SET ascii,
  cyr text CHARACTER SET cp1251, koi char(20) CHARACTER SET koi8r,
  u3 varchar(20) CHARACTER SET utf8mb3 COLLATE utf8mb3_bin,
  u4 varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin,
  u2 varchar(20) CHARACTER SET ucs2, u16 varchar(20) CHARACTER SET utf16,
  u16le mediumtext CHARACTER SET utf16le, u32 char(5) CHARACTER SET utf32,
  gb varchar(20) CHARACTER SET gbk, b5 varchar(20) CHARACTER SET big5,
  sj varchar(20) CHARACTER SET sjis, eu varchar(20) CHARACTER SET eucjpms,
  gb23 varchar(20) CHARACTER SET gb2312, kr varchar(20) CHARACTER SET euckr,
  bn varchar(20) CHARACTER SET binary, hb varchar(20) CHARACTER SET hebrew,
  ge longtext CHARACTER SET geostd8, e enum('é', 'è') CHARACTER SET latin1 COLLATE latin1_bin,
  s set('ж', 'я') CHARACTER SET cp1251, de varchar(20) COLLATE utf8mb4_german2_ci
) CHARACTER SET latin1 COLLATE latin1_german1_ci COMMENT 'a table of many sets';
INSERT INTO charsets VALUES
  (1, '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', 'é', '', ''),
  (2, 'ÿ€', 'Aa', 'Łódź', 'ascii', 'Привет', 'Привет', '日本☃', '😀', '日本', '😀 日', '😀', '😀',
   '漢字', '漢字', '日本語', '日本語', '汉字', '한글', X'00FF5C27', 'שלום', 'აბგ', 'è', 'ж,я', 'ß'),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
   NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
-- All 256 bytes of latin1, the five undefined ones included.
UPDATE charsets SET l1 = (
  SELECT GROUP_CONCAT(CONVERT(CHAR(seq USING binary) USING latin1) ORDER BY seq SEPARATOR '')
  FROM seq_0_to_255) WHERE id = 1;

CREATE TABLE binaries (
  id int PRIMARY KEY,
  b binary(4), b1 binary, vb varchar(2) CHARACTER SET binary, vb300 varbinary(300),
  tb tinyblob, bl blob, mb mediumblob, lb longblob
);
INSERT INTO binaries VALUES
  (1, X'', X'', X'', X'', X'', X'', X'', X''),
  (2, X'00', X'FF', X'0000', X'0A0D5C275C4E00091A22', X'00', X'FF', X'8000', X'F09F9880'),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (4, 'abcd', 'a', 'ab', '', 'text', 'a ', '\\N', ' ');
UPDATE binaries SET vb300 = (
  SELECT GROUP_CONCAT(CHAR(seq USING binary) ORDER BY seq SEPARATOR '') FROM seq_0_to_255),
  mb = REPEAT(vb300, 4096), lb = REPEAT(UNHEX(MD5('x')), 65536) WHERE id = 4;

CREATE TABLE places (
  id int PRIMARY KEY,
  g geometry, p point, l linestring, a polygon, mp multipoint, ml multilinestring,
  ma multipolygon, gc geometrycollection, pn point NOT NULL, ref point REF_SYSTEM_ID = 4326
);
INSERT INTO places VALUES
  (1, ST_GeomFromText('POINT(1 2)', 4326), ST_GeomFromText('POINT(0.1 -1e300)'),
   ST_GeomFromText('LINESTRING(0 0, 1 1, 2 3)'),
   ST_GeomFromText('POLYGON((0 0, 9 0, 9 9, 0 9, 0 0), (1 1, 2 1, 2 2, 1 2, 1 1))'),
   ST_GeomFromText('MULTIPOINT(0 0, 1 1)'), ST_GeomFromText('MULTILINESTRING((0 0, 1 1), (2 2, 3 3))'),
   ST_GeomFromText('MULTIPOLYGON(((0 0, 3 0, 3 3, 0 3, 0 0)))'),
   ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 2), LINESTRING(0 0, 1 1))'),
   ST_GeomFromText('POINT(0.30000000000000004 7)', 3857), ST_GeomFromText('POINT(1 1)', 4326)),
  (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, ST_GeomFromText('POINT(0 0)'), NULL),
  (3, ST_GeomFromText('POLYGON((0 0, 1 0, 1 1, 0 0))'), NULL, NULL, NULL, NULL, NULL, NULL, NULL,
   ST_GeomFromText('POINT(-0.0 5e-324)'), NULL);

CREATE TABLE `empty` (id int PRIMARY KEY, v varchar(10));
CREATE TABLE no_key (a int, b text);
INSERT INTO no_key SELECT seq MOD 7, 'the same' FROM seq_1_to_500;
INSERT INTO no_key VALUES (NULL, NULL), (NULL, NULL);
CREATE TABLE keys_of_text (k varchar(30) COLLATE utf8mb4_bin, l int, v int, PRIMARY KEY (k, l));
INSERT INTO keys_of_text SELECT CONCAT('k', seq MOD 50, '😀 \'\\'), seq, seq FROM seq_1_to_2000;
CREATE TABLE keys_of_bytes (k varbinary(20) PRIMARY KEY, v int);
INSERT INTO keys_of_bytes SELECT UNHEX(MD5(seq)), seq FROM seq_1_to_1000;
CREATE TABLE gaps (id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, v int);
INSERT INTO gaps SELECT seq * seq * seq, seq FROM seq_1_to_1000;
INSERT INTO gaps VALUES (18446744073709551614, 1);
SET sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO';
CREATE TABLE zero_key (id int NOT NULL AUTO_INCREMENT PRIMARY KEY, v int);
INSERT INTO zero_key VALUES (0, 0), (-5, 1), (8, 2);
