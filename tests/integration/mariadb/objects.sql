-- Programs and views of MariaDB, after tables.sql: each under the settings in which it was made.

CREATE SEQUENCE plain_sequence;
SELECT NEXTVAL(plain_sequence), NEXTVAL(plain_sequence);
CREATE SEQUENCE `odd ``sequence` START WITH 100 INCREMENT BY -7 MINVALUE -1000 MAXVALUE 500 CACHE 10 CYCLE;
SELECT NEXTVAL(`odd ``sequence`);
CREATE SEQUENCE unused INCREMENT BY 3 NOCACHE;
CREATE TABLE numbered (id bigint NOT NULL DEFAULT NEXTVAL(plain_sequence) PRIMARY KEY, v int);
INSERT INTO numbered (v) VALUES (1), (2);
CREATE TABLE journal (n int NOT NULL AUTO_INCREMENT PRIMARY KEY, line varchar(200));
CREATE TABLE busy (id int PRIMARY KEY, v int, stamp varchar(200));
INSERT INTO busy VALUES (1, 1, NULL), (2, 2, NULL);

DELIMITER //
CREATE FUNCTION twice(n int) RETURNS int DETERMINISTIC NO SQL COMMENT 'it''s twice' RETURN n * 2//
CREATE FUNCTION `hello ``w'orld"`(name varchar(20) CHARACTER SET utf8mb4) RETURNS varchar(60) CHARSET utf8mb4 COLLATE utf8mb4_bin
  SQL SECURITY INVOKER READS SQL DATA
BEGIN
  -- a comment; with 'quotes' "and" `ticks`
  DECLARE answer varchar(60) CHARACTER SET utf8mb4 DEFAULT CONCAT('Grüß Gott, ☃ ', name, '\n', "!\\");
  RETURN answer;
END//
CREATE AGGREGATE FUNCTION total(x int) RETURNS int
BEGIN
  DECLARE t int DEFAULT 0;
  DECLARE CONTINUE HANDLER FOR NOT FOUND RETURN t;
  LOOP FETCH GROUP NEXT ROW; SET t = t + x; END LOOP;
END//
CREATE PROCEDURE fill(IN n int, OUT done int, INOUT both_ways varchar(10)) MODIFIES SQL DATA
BEGIN
  DECLARE i int DEFAULT 0;
  WHILE i < n DO INSERT INTO journal (line) VALUES (CONCAT('it''s ', i, ' %s')); SET i = i + 1; END WHILE;
  SET done = i;
END//
CREATE TRIGGER busy_first BEFORE INSERT ON busy FOR EACH ROW SET NEW.stamp = CONCAT_WS(',', NEW.stamp, 'first')//
CREATE TRIGGER busy_third BEFORE INSERT ON busy FOR EACH ROW FOLLOWS busy_first SET NEW.stamp = CONCAT_WS(',', NEW.stamp, 'third')//
CREATE TRIGGER `busy_``second'` BEFORE INSERT ON busy FOR EACH ROW FOLLOWS busy_first SET NEW.stamp = CONCAT_WS(',', NEW.stamp, 'second ☃')//
CREATE TRIGGER busy_after AFTER UPDATE ON busy FOR EACH ROW BEGIN INSERT INTO journal (line) VALUES ('it''s; updated'); END//
CREATE TRIGGER busy_gone BEFORE DELETE ON busy FOR EACH ROW INSERT INTO journal (line) VALUES (OLD.id)//
SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES'//
CREATE TRIGGER "odd mode" AFTER INSERT ON "busy" FOR EACH ROW INSERT INTO "journal" ("line") VALUES ('back\slash ' || NEW."id")//
CREATE PROCEDURE "odd mode"() SELECT 'a\' || "line" FROM "journal"//
CREATE VIEW "odd mode" AS SELECT "id" || '\' AS "it's" FROM "busy"//
SET sql_mode = DEFAULT//
SET NAMES latin1//
CREATE PROCEDURE `in latin`() SELECT _utf8mb4 X'C3A9'//
SET NAMES utf8mb4 COLLATE utf8mb4_german2_ci//
CREATE PROCEDURE `in german`() SELECT 'ß' = 'ss'//
CREATE VIEW in_german AS SELECT 'ß' = 'ss' AS same//
SET NAMES utf8mb4//
CREATE EVENT every_hour ON SCHEDULE EVERY 1 HOUR STARTS '2020-01-01 00:00:00' ENDS '2037-01-01 00:00:00'
  ON COMPLETION PRESERVE COMMENT 'it''s hourly' DO INSERT INTO journal (line) VALUES ('tick')//
CREATE EVENT `once``'` ON SCHEDULE AT '2037-12-31 23:00:00' DISABLE DO BEGIN DELETE FROM journal; SELECT ';'; END//
SET time_zone = '-03:30'//
CREATE EVENT elsewhere ON SCHEDULE EVERY '1:30' HOUR_MINUTE STARTS '2021-06-01 12:00:00' DISABLE ON SLAVE DO SELECT 'ü☃'//
SET time_zone = '+00:00'//
ALTER DATABASE CHARACTER SET utf8mb4 COLLATE utf8mb4_german2_ci//
CREATE FUNCTION `other database`(word varchar(20)) RETURNS varchar(30) DETERMINISTIC RETURN CONCAT(word, ' ☃')//
CREATE TRIGGER `other database` BEFORE UPDATE ON busy FOR EACH ROW SET NEW.stamp = `other database`('☃')//
CREATE EVENT `other database` ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' DISABLE DO SELECT 1//
ALTER DATABASE CHARACTER SET latin1 COLLATE latin1_swedish_ci//
CREATE PROCEDURE `procedure éééééééééééééééééééééééééééééééééééééééééééééééééééééé`() SELECT 1//
CREATE TRIGGER `trigger éééééééééééééééééééééééééééééééééééééééééééééééééééééééé` BEFORE UPDATE ON busy FOR EACH ROW SET NEW.stamp = 'x'//
DELIMITER ;

CREATE VIEW z_base AS SELECT id, v, twice(v) AS doubled FROM busy WHERE v > 0;
CREATE ALGORITHM = TEMPTABLE SQL SECURITY INVOKER VIEW a_on_z AS SELECT id, doubled FROM z_base;
CREATE ALGORITHM = MERGE VIEW m_on_a (`number`, `hälf ``x` ) AS SELECT id, doubled / 2 FROM a_on_z;
CREATE VIEW checked_view AS SELECT id, v FROM busy WHERE v < 100 WITH LOCAL CHECK OPTION;
CREATE VIEW `it's a "view"` AS SELECT `a``b` AS `x'y`, '☃ it''s' AS `☃`, `c'd` FROM `back``tick'quote"double\slash` WITH CHECK OPTION;
