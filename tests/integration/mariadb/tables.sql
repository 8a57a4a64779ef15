-- What tables of MariaDB can have beside columns: keys, checks, defaults, partitions, engines, names.

CREATE TABLE parent (
  id int unsigned NOT NULL AUTO_INCREMENT,
  code char(3) COLLATE latin1_general_cs NOT NULL,
  tag varchar(20) CHARACTER SET utf8mb4 DEFAULT NULL,
  PRIMARY KEY (id), UNIQUE KEY code (code), UNIQUE KEY pair (id, code), UNIQUE KEY (tag)
) COMMENT 'it''s "quoted", `ticked`, ünï☃ \\ and\nbroken';
INSERT INTO parent VALUES (1, 'abc', NULL), (2, 'ABC', NULL), (3, 'x', 'x'), (100, 'y', 'Y');
DELETE FROM parent WHERE id = 100;
CREATE TABLE child (
  id int NOT NULL PRIMARY KEY,
  a int unsigned, b int unsigned DEFAULT 1, c int unsigned, d int unsigned NOT NULL, code char(3) COLLATE latin1_general_cs,
  KEY (a), KEY (b), KEY (c), KEY (d, code),
  CONSTRAINT `on_cascade` FOREIGN KEY (a) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE,
  CONSTRAINT `on set null` FOREIGN KEY (b) REFERENCES parent (id) ON DELETE SET NULL ON UPDATE SET NULL,
  FOREIGN KEY (c) REFERENCES parent (id) ON DELETE RESTRICT ON UPDATE NO ACTION,
  CONSTRAINT `f````tick'"` FOREIGN KEY (d, code) REFERENCES parent (id, code)
);
INSERT INTO child VALUES (1, 1, 2, 3, 1, 'abc'), (2, NULL, NULL, NULL, 2, NULL);
CREATE TABLE tree (
  id int PRIMARY KEY, up int, FOREIGN KEY (up) REFERENCES tree (id) ON DELETE CASCADE
);
INSERT INTO tree VALUES (3, NULL), (1, 3), (2, 1);
SET foreign_key_checks = 0;
CREATE TABLE cycle_a (id int PRIMARY KEY, b int, CONSTRAINT to_b FOREIGN KEY (b) REFERENCES cycle_b (id));
CREATE TABLE cycle_b (id int PRIMARY KEY, a int, CONSTRAINT to_a FOREIGN KEY (a) REFERENCES cycle_a (id));
SET foreign_key_checks = 1;
INSERT INTO cycle_a VALUES (1, NULL);
INSERT INTO cycle_b VALUES (1, 1);
UPDATE cycle_a SET b = 1;

CREATE TABLE checked (
  id int PRIMARY KEY CHECK (id > 0),
  name varchar(50) CHARACTER SET utf8mb4 DEFAULT 'it''s' CHECK (name <> 'no ''quote'' "here" \\ ü'),
  low int, high int,
  CONSTRAINT `in order` CHECK (low <= high OR low IS NULL), CHECK (low + high < 1000)
);
INSERT INTO checked VALUES (1, 'fine', 1, 2), (2, NULL, NULL, NULL);

CREATE TABLE defaults (
  id int NOT NULL AUTO_INCREMENT PRIMARY KEY,
  s varchar(30) NOT NULL DEFAULT '', q varchar(30) DEFAULT 'a ''b'' "c" \\ \n ü', n int DEFAULT NULL,
  i int NOT NULL DEFAULT -5, d decimal(5,2) DEFAULT 1.50, f double DEFAULT 1e100, bits bit(3) DEFAULT b'101',
  bin varbinary(5) DEFAULT X'6127', day date DEFAULT '2020-02-29', zero date DEFAULT '0000-00-00',
  now0 timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(),
  now6 datetime(6) DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6),
  plain timestamp NULL ON UPDATE current_timestamp(),
  u varchar(36) DEFAULT uuid(), e int DEFAULT (1 + 2 * 3), t text DEFAULT 'text', j json DEFAULT '{"a": []}',
  ex varchar(100) DEFAULT (concat('it''s ', upper('x'))), today date DEFAULT (curdate() + interval 1 day),
  en enum('a', 'b''c') DEFAULT 'b''c', st set('x', 'y') NOT NULL DEFAULT 'x,y', y year DEFAULT 1999, b bool DEFAULT true
) COMMENT 'defaults';
INSERT INTO defaults (id, now0, now6, u, today) VALUES
  (5, '2001-01-01 00:00:00', '2001-01-01 00:00:00.5', 'u', '2001-01-01');

CREATE TABLE binary_default (id int PRIMARY KEY, v varbinary(5) DEFAULT X'00FF275C', b binary(3) DEFAULT X'80');
INSERT INTO binary_default (id) VALUES (1);

CREATE TABLE made (
  a int NOT NULL, b int NOT NULL DEFAULT 2,
  v int GENERATED ALWAYS AS (a + b) VIRTUAL COMMENT 'virtual',
  s int AS (a * b) STORED, txt varchar(40) AS (concat('it''s ', a)) VIRTUAL,
  hidden int INVISIBLE DEFAULT 7, hv int AS (a - 1) VIRTUAL INVISIBLE,
  js json DEFAULT NULL, city varchar(30) AS (json_value(js, '$.city')) STORED,
  PRIMARY KEY (a), KEY (v), UNIQUE KEY (s), KEY city (city)
);
INSERT INTO made (a, b, hidden, js) VALUES (1, 5, 8, '{"city": "Köln"}'), (2, 7, 9, NULL);

CREATE TABLE indexed (
  id int PRIMARY KEY, a varchar(100) NOT NULL, b text, c int, p point NOT NULL, big text,
  KEY prefixed (a(10), b(20)), KEY falling (c DESC, a ASC), KEY `left out` (c) IGNORED,
  KEY remarked (a) COMMENT 'it''s \\ ☃', FULLTEXT KEY words (a, b), SPATIAL KEY place (p),
  UNIQUE KEY whole (big) USING HASH, UNIQUE KEY one (c, id), KEY hashed (a) USING BTREE
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
INSERT INTO indexed VALUES (1, 'alpha beta', 'gamma', 1, ST_GeomFromText('POINT(1 1)'), REPEAT('x', 5000)),
  (2, 'ALPHA', NULL, NULL, ST_GeomFromText('POINT(2 2)'), NULL);

CREATE TABLE by_range (id int, d date NOT NULL, PRIMARY KEY (id, d)) PARTITION BY RANGE (year(d)) (
  PARTITION `p old` VALUES LESS THAN (2000) COMMENT = 'it''s old', PARTITION p1 VALUES LESS THAN (2020),
  PARTITION p2 VALUES LESS THAN MAXVALUE);
CREATE TABLE by_columns (a int, b varchar(20)) PARTITION BY RANGE COLUMNS (a, b) (
  PARTITION p0 VALUES LESS THAN (5, 'it''s'), PARTITION p1 VALUES LESS THAN (MAXVALUE, MAXVALUE));
CREATE TABLE by_list (id int PRIMARY KEY) PARTITION BY LIST (id) (
  PARTITION odd VALUES IN (1, 3, 5), PARTITION rest DEFAULT);
CREATE TABLE by_hash (id int PRIMARY KEY, v int) PARTITION BY LINEAR HASH (id) PARTITIONS 3;
CREATE TABLE by_key (id int PRIMARY KEY, v int) PARTITION BY KEY (id) PARTITIONS 4;
CREATE TABLE by_both (id int, d date) PARTITION BY RANGE (to_days(d)) SUBPARTITION BY HASH (id) SUBPARTITIONS 2 (
  PARTITION p0 VALUES LESS THAN (737425), PARTITION p1 VALUES LESS THAN MAXVALUE);
INSERT INTO by_range SELECT seq, '1990-01-01' + INTERVAL seq MONTH FROM seq_1_to_500;
INSERT INTO by_columns VALUES (1, 'a'), (9, NULL);
INSERT INTO by_list VALUES (1), (2), (3), (4);
INSERT INTO by_hash SELECT seq, seq FROM seq_1_to_50;
INSERT INTO by_key SELECT seq, seq FROM seq_1_to_50;
INSERT INTO by_both SELECT seq, '2018-12-01' + INTERVAL seq DAY FROM seq_1_to_50;

CREATE TABLE squeezed (id int PRIMARY KEY, t text) ROW_FORMAT = COMPRESSED KEY_BLOCK_SIZE = 8;
CREATE TABLE packed (id int PRIMARY KEY, t text COMPRESSED, b blob /*M!100301 COMPRESSED*/) ROW_FORMAT = DYNAMIC STATS_PERSISTENT = 1 STATS_SAMPLE_PAGES = 9;
CREATE TABLE paged (id int PRIMARY KEY, t text) PAGE_COMPRESSED = 1;
INSERT INTO squeezed VALUES (1, REPEAT('a', 10000)); INSERT INTO packed VALUES (1, REPEAT('b', 10000), REPEAT('c', 100));
INSERT INTO paged VALUES (1, REPEAT('d', 10000));
CREATE TABLE my_isam (grp char(3), n int NOT NULL AUTO_INCREMENT, t text, PRIMARY KEY (grp, n), FULLTEXT KEY (t))
  ENGINE = MyISAM CHECKSUM = 1 DELAY_KEY_WRITE = 1 MAX_ROWS = 1000 AVG_ROW_LENGTH = 50 PACK_KEYS = 1;
INSERT INTO my_isam (grp, t) VALUES ('a', 'x'), ('b', 'y'), ('a', 'z');
CREATE TABLE aria (id int NOT NULL AUTO_INCREMENT PRIMARY KEY, v blob) ENGINE = Aria TRANSACTIONAL = 1 PAGE_CHECKSUM = 1 AUTO_INCREMENT = 50;
INSERT INTO aria (v) VALUES (X'00'), (X'FF');
CREATE TABLE in_memory (id int PRIMARY KEY, v varchar(10), KEY (v) USING HASH) ENGINE = MEMORY;
INSERT INTO in_memory VALUES (1, 'x');

CREATE TABLE versioned (id int PRIMARY KEY, v int, quiet int WITHOUT SYSTEM VERSIONING) WITH SYSTEM VERSIONING;
INSERT INTO versioned VALUES (1, 1, 1), (2, 2, 2);
UPDATE versioned SET v = 10 WHERE id = 1;
DELETE FROM versioned WHERE id = 2;
CREATE TABLE periods (id int PRIMARY KEY, a date NOT NULL, b date NOT NULL, PERIOD FOR valid (a, b));
INSERT INTO periods VALUES (1, '2020-01-01', '2020-06-01');

CREATE TABLE `A` (id int PRIMARY KEY, v varchar(10));
CREATE TABLE `a` (id int PRIMARY KEY, v varchar(10));
INSERT INTO `A` VALUES (1, 'upper'); INSERT INTO `a` VALUES (1, 'lower');
CREATE TABLE `sixty-four characters, most of them plain ☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃` (
  `column ☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃` int PRIMARY KEY,
  v int, KEY `index ☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃` (v));
INSERT INTO `sixty-four characters, most of them plain ☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃☃` VALUES (1, 1);
CREATE TABLE `back``tick'quote"double\slash` (`a``b` int, `c'd` int, `e"f` int, `g\h` int, `%s {0} :x ? -- #` int, `/* no */` int, PRIMARY KEY (`a``b`));
INSERT INTO `back``tick'quote"double\slash` VALUES (1, 2, 3, 4, 5, 6);
CREATE TABLE `new
line	tab` (`a
b` int PRIMARY KEY, ` leading` int) COMMENT 'semi; colon';
INSERT INTO `new
line	tab` VALUES (1, 2);
CREATE TABLE `select` (`from` int, `where` int, `group` int, `order` int, `key` int, PRIMARY KEY (`from`), KEY `index` (`group`, `order`));
INSERT INTO `select` VALUES (1, 2, 3, 4, 5);
CREATE TABLE `a.b` (`x.y` int PRIMARY KEY, `täble ❤` varchar(10)) CHARACTER SET utf8mb4;
INSERT INTO `a.b` VALUES (1, '❤');
CREATE TABLE `../etc/passwd` (id int PRIMARY KEY);
CREATE TABLE commented (id int PRIMARY KEY COMMENT 'it''s "x" `y` \\ ü ☃ -- # /* */', v int COMMENT 'two
lines');
